/** Addresses: what stands behind # says which view is shown, so that every view can be linked to. */

const routes = [];
let changed = () => {};

/** Adds a view; `:name` stands for a part of the address. */
export function route(pattern, load, name) {
  const names = [...pattern.matchAll(/:(\w+)/g)].map((found) => found[1]);
  const shape = new RegExp(`^${pattern.replace(/:\w+/g, "([^/]+)")}$`);
  routes.push({ shape, names, load, name });
}

/** What the present address means. */
export function here() {
  const [path, words] = (location.hash.replace(/^#/, "") || "/machine").split("?");
  for (const one of routes) {
    const found = one.shape.exec(path);
    if (found) {
      const params = Object.fromEntries(one.names.map((name, i) => [name, decodeURIComponent(found[i + 1])]));
      return { ...one, path, params, query: new URLSearchParams(words || "") };
    }
  }
  return { load: null, path, params: {}, query: new URLSearchParams(), name: "" };
}

/** Goes somewhere. */
export function go(address, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", `#${address}`);
    changed();
  } else if (location.hash === `#${address}`) changed();
  else location.hash = address;
}

/** Begins to listen. */
export function startRouter(callback) {
  changed = callback;
  addEventListener("hashchange", () => changed());
}
