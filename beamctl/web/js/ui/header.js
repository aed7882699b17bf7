/** The top of the page: where one is, whether the data live, who one is, what time it is. */

import { send } from "../api.js";
import { h, mark, put, say } from "../dom.js";
import { localClock, span, utcClock } from "../format.js";
import { may, store } from "../store.js";
import { switchTheme } from "../theme.js";
import { badge, rebadge } from "../words.js";
import { announce } from "./notices.js";

const links = () => [
  ["machine", "Machine"],
  ["tune", "Tune"],
  ["preflight", "Preflight"],
  ["history", "History"],
  ["agents", "Agents"],
  ["admin", may("admin") ? "Admin" : "Account"],
];
const CONNECTION = {
  live: ["Live", "ok", "\u25cf"],
  connecting: ["Connecting", "minor", "\u2026"],
  lost: ["Lost", "major", "\u2715"],
};

let shown = null;

function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const sign = minutes < 0 ? "\u2212" : "+";
  return minutes === 0 ? "" : `UTC${sign}${Math.abs(minutes) / 60}`;
}

function controlWords(control) {
  if (!control) return ["Control ?", "invalid", "?"];
  if (control.is_halted) return ["Control frozen", "major", "\u25a0"];
  return control.is_alive ? ["Control alive", "ok", "\u2713"] : ["Control down", "major", "\u2715"];
}

/** Builds the header; `leave` is called after logging out. */
export function showHeader(leave) {
  const session = store.get("session");
  const header = document.getElementById("header");
  if (!session) {
    shown = null;
    put(header);
    header.hidden = true;
    return;
  }
  header.hidden = false;
  const nav = h(
    "nav",
    { class: "nav", "aria-label": "Views" },
    links().map(([name, text]) => h("a", { href: `#/${name}`, "data-nav": name, "data-testid": `nav-${name}` }, text)),
  );
  const utc = h("strong", { "data-testid": "clock-utc" });
  const local = h("div", { class: "small muted" });
  const connection = badge(CONNECTION.connecting, { "data-testid": "connection" });
  const control = badge(controlWords(null), { "data-testid": "control" });
  const theme = h("button", {
    class: "button plain",
    type: "button",
    "data-testid": "theme",
    on: { click: switchTheme },
  });
  const out = h(
    "button",
    {
      class: "button small",
      type: "button",
      "data-testid": "log-out",
      on: {
        click: async () => {
          await send("DELETE", "/session").catch(() => {});
          leave();
        },
      },
    },
    "Log out",
  );
  put(
    header,
    h("a", { class: "brand", href: "#/machine" }, h("img", { src: "/web/icon.svg", alt: "" }), "beamctl"),
    nav,
    h(
      "div",
      { class: "end" },
      connection,
      control,
      h("div", { class: "clock" }, utc, local),
      theme,
      h(
        "div",
        { class: "who" },
        h("div", { "data-testid": "who" }, session.name),
        h("div", { class: "small muted", "data-testid": "role" }, session.role),
      ),
      session.via === "session" ? out : null,
    ),
  );
  shown = { nav, utc, local, connection, control, theme };
  nameTheme();
  drawConnection();
  drawControl();
  tick();
}

/** Marks the present view. */
export function markNav(path) {
  const first = path.split("/")[1] === "compare" ? "history" : path.split("/")[1];
  for (const link of shown?.nav.children || []) mark(link, "aria-current", link.dataset.nav === first ? "page" : null);
}

function nameTheme() {
  if (!shown) return;
  const other = store.get("theme") === "dark" ? "light" : "dark";
  say(shown.theme, other === "light" ? "\u2600" : "\u263e");
  mark(shown.theme, "aria-label", `Switch to ${other}`);
  mark(shown.theme, "title", `Switch to ${other}`);
}

function drawConnection() {
  if (!shown) return;
  const state = store.get("connection") || "connecting";
  rebadge(shown.connection, CONNECTION[state]);
  mark(document.documentElement, "data-connection", state);
}

function drawControl() {
  if (!shown) return;
  const control = store.get("control");
  rebadge(shown.control, controlWords(control));
  mark(shown.control, "title", control?.message);
}

function tick() {
  if (!shown) return;
  const now = new Date(Date.now() + (store.get("offset") || 0));
  say(shown.utc, `${utcClock(now)} UTC`);
  say(shown.local, zone() ? `${localClock(now)} local, ${zone()}` : "local time is UTC");
}

/** Keeps it up to date. */
export function followHeader() {
  let before = null;
  store.on("theme", nameTheme);
  store.on("connection", (state) => {
    drawConnection();
    if (state === "lost" && before === "live")
      announce("Connection to the service lost. What is shown is not live.", { now: true });
    if (state === "live" && before === "lost") announce("Connection to the service is back.");
    before = state;
  });
  let wasAlive = null;
  store.on("control", (control) => {
    drawControl();
    if (wasAlive !== null && wasAlive !== control.is_alive) announce(control.message, { now: true });
    wasAlive = control.is_alive;
  });
  setInterval(tick, 500);
}

/** When the control process was heard last. */
export const heartbeatWords = (control) =>
  control?.heartbeat
    ? `heard ${span((Date.now() + (store.get("offset") || 0) - new Date(control.heartbeat)) / 1000)} ago`
    : "never heard";
