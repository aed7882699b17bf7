/** The event stream: one per page, reopened where it was lost, silent loss noticed by the missing tick. */

import { address, get } from "./api.js";
import { store } from "./store.js";

const LOST_MS = 1750;
const REOPEN_MS = 3000;
const AGAIN_MS = 1000;

const handlers = { record: new Set(), live: new Set(), tick: new Set(), resumed: new Set() };
let source = null;
let sections = [];
let last = null;
let heard = 0;
let openedAt = 0;
let watchdog = null;
let retry = null;
let wasLost = false;

/** Calls back for `record`, `live`, `tick`, and `resumed` (after a loss); returns what ends that. */
export function onStream(kind, handler) {
  handlers[kind].add(handler);
  return () => handlers[kind].delete(handler);
}

function tell(kind, message) {
  for (const handler of [...handlers[kind]]) handler(message);
}

function setState(state) {
  if (store.get("connection") !== state) store.set("connection", state);
}

function alive() {
  heard = performance.now();
  if (store.get("connection") === "live") return;
  setState("live");
  if (wasLost) {
    wasLost = false;
    tell("resumed");
  }
}

function lose() {
  if (store.get("connection") === "live") wasLost = true;
  setState("lost");
}

function hear(event, kind) {
  alive();
  if (event.lastEventId) last = Number(event.lastEventId);
  tell(kind, JSON.parse(event.data));
}

function query() {
  const words = new URLSearchParams();
  if (last !== null) words.set("after", last);
  for (const section of sections) words.append("live", section);
  return words;
}

function open() {
  close();
  openedAt = performance.now();
  source = new EventSource(`${address("/events")}?${query()}`);
  const own = source;
  for (const kind of ["record", "live", "tick"])
    source.addEventListener(kind, (event) => own === source && hear(event, kind));
  source.addEventListener("bye", () => own === source && later());
  source.onerror = () => {
    if (own !== source) return;
    lose();
    if (source.readyState === EventSource.CLOSED) later();
  };
}

function close() {
  clearTimeout(retry);
  retry = null;
  if (source) source.close();
  source = null;
}

/** Looks whether we are still logged in before the stream is opened again. */
function later() {
  close();
  lose();
  retry = setTimeout(async () => {
    try {
      await get("/session");
    } catch (problem) {
      if (problem.status === 401 || problem.status === 403) return;
      later();
      return;
    }
    open();
  }, AGAIN_MS);
}

function look() {
  const silent = performance.now() - Math.max(heard, openedAt);
  if (silent > LOST_MS) lose();
  if (silent > REOPEN_MS && source) open();
}

/** Begins to listen behind an event. */
export function startStream(after) {
  last = after;
  heard = performance.now();
  wasLost = false;
  setState("connecting");
  open();
  watchdog = watchdog || setInterval(look, 100);
}

/** Listens no more. */
export function stopStream() {
  close();
  clearInterval(watchdog);
  watchdog = null;
}

/** Which sections' readings are wanted. */
export function wantLive(keys) {
  const wanted = [...keys].sort();
  if (wanted.join(" ") === sections.join(" ")) return;
  sections = wanted;
  if (source) open();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) openedAt = Math.max(openedAt, performance.now() - 1000);
});
