/** What several parts of the page need to know. */

const values = new Map();
const listeners = new Map();

export const store = {
  get: (key) => values.get(key),
  set(key, value) {
    values.set(key, value);
    for (const listener of [...(listeners.get(key) || [])]) listener(value);
  },
  /** Calls back at every change; returns what ends that. */
  on(key, listener) {
    if (!listeners.has(key)) listeners.set(key, new Set());
    listeners.get(key).add(listener);
    return () => listeners.get(key).delete(listener);
  },
};

const ORDER = ["viewer", "operator", "admin"];

/** Whether who is logged in may do what needs a role. */
export function may(role) {
  const session = store.get("session");
  return Boolean(session) && ORDER.indexOf(session.role) >= ORDER.indexOf(role);
}
