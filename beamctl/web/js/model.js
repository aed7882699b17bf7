/** What is known of the machine: overview, tasks, sections, newest readings. */

import { get, part } from "./api.js";
import { calmly } from "./frame.js";
import { store } from "./store.js";
import { onStream } from "./stream.js";

/** An older reading is shown grey. */
export const STALE_S = 3;
const CHANGES = new Set([
  "created",
  "state",
  "ended",
  "requested",
  "claimed",
  "done",
  "refused",
  "cancelled",
  "visited",
  "proposed",
  "held",
  "lease",
  "result",
  "restored",
  "agent",
]);
const readings = new Map();
const sections = new Map();

/** Everything at one glance, from the service. */
export async function loadOverview() {
  const overview = await get("/machine");
  for (const section of overview.sections) if (section.live && !isNewer(section.key, section.live)) keep(section.live);
  store.set("control", overview.control);
  store.set("overview", overview);
  return overview;
}

const isNewer = (key, live) => readings.has(key) && readings.get(key).live.time >= live.time;

function keep(live) {
  readings.set(live.section, { live, at: performance.now() });
}

/** Forgets and loads again; before any view is shown. */
export async function loadModel() {
  readings.clear();
  sections.clear();
  const [tasks] = await Promise.all([get("/machine/tasks"), loadOverview(), loadRequests()]);
  store.set("tasks", tasks.tasks);
}

/** Requests that nobody has taken yet. */
export async function loadRequests() {
  const found = await get("/requests", { state: "waiting", limit: 50 });
  store.set("requests", found.requests);
}

/** What a section consists of; asked for once. */
export async function sectionDetail(key) {
  if (!sections.has(key)) {
    const asked = get(`/machine/sections/${part(key)}`);
    sections.set(key, asked);
    asked.catch(() => sections.delete(key));
  }
  return sections.get(key);
}

export const summaryOf = (key) =>
  (store.get("overview")?.sections || []).find((section) => section.key === key) || null;
export const titleOf = (key) => summaryOf(key)?.title || key;
export const tasksOf = (key) => (store.get("tasks") || []).filter((task) => task.section === key);

/** The newest reading of a section, with its age now; null where there never was one. */
export function reading(key) {
  const found = readings.get(key);
  if (!found) return null;
  const age = found.live.age_s + (performance.now() - found.at) / 1000;
  return { live: found.live, age, isStale: age > STALE_S || store.get("connection") === "lost" };
}

/** Sections that have a run now. */
export const owned = () => (store.get("overview")?.sections || []).filter((section) => section.is_owned);

const refresh = calmly(400, () => loadOverview().catch(() => {}));
const refreshRequests = calmly(400, () => loadRequests().catch(() => {}));
const refreshTasks = calmly(400, async () => {
  const found = await get("/machine/tasks").catch(() => null);
  if (found) store.set("tasks", found.tasks);
});

/** Keeps all of it up to date from the stream. */
export function followModel() {
  onStream("live", (live) => {
    keep(live);
    store.set("live", live.section);
  });
  onStream("tick", (tick) => {
    const before = store.get("control");
    store.set("offset", new Date(tick.time).getTime() - Date.now());
    store.set("control", tick.control);
    if (before && before.is_alive !== tick.control.is_alive) refresh();
  });
  onStream("record", (event) => {
    if (CHANGES.has(event.kind)) refresh();
    if (["requested", "claimed", "done", "refused", "cancelled"].includes(event.kind)) refreshRequests();
    if (event.kind === "agent") refreshTasks();
  });
  onStream("resumed", () => {
    refresh();
    refreshRequests();
  });
}
