/** The words of states and severities, with a tone each; the colour never stands alone. */

import { h, mark, say } from "./dom.js";

const RUN = {
  idle: ["Idle", "", "\u25cb"],
  armed: ["Armed", "active", "\u25d4"],
  running: ["Running", "active", "\u25b6"],
  hold: ["Hold", "minor", "\u2016"],
  review: ["Review", "minor", "?"],
  accepted: ["Accepted", "ok", "\u2713"],
  restoring: ["Restoring", "active", "\u21ba"],
  restored: ["Restored", "ok", "\u21ba"],
  unknown: ["Unknown", "invalid", "?"],
  conflict: ["Conflict", "major", "\u21af"],
  halted: ["Halted", "major", "\u25a0"],
  fault: ["Fault", "major", "\u2715"],
  recovering: ["Recovering", "active", "\u21bb"],
};
const SEVERITY = [
  ["OK", "ok", "\u2713"],
  ["MINOR", "minor", "\u25b2"],
  ["MAJOR", "major", "\u25c6"],
  ["INVALID", "invalid", "\u2715"],
  ["DISCONNECTED", "off", "\u2205"],
];
/** States in which a person has to decide. */
export const STUCK = ["conflict", "halted", "fault", "unknown"];
/** Commands that belong to what one has seen. */
export const DECISIONS = ["approve", "takeover", "restore", "leave", "clear"];

export const stateWord = (state) => (RUN[state] || [state, "", ""])[0];
export const severityWord = (severity) => (SEVERITY[severity] || SEVERITY[4])[0];

/** A word with a mark and a colour. */
export function badge([word, tone, glyph], props = {}) {
  return h(
    "span",
    { class: "badge", "data-tone": tone, ...props },
    glyph && h("span", { "aria-hidden": "true" }, glyph),
    h("span", {}, word),
  );
}

/** Changes a badge in place. */
export function rebadge(element, [word, tone, glyph]) {
  mark(element, "data-tone", tone);
  if (element.dataset.shown === `${glyph}${word}`) return element;
  element.dataset.shown = `${glyph}${word}`;
  element.replaceChildren(h("span", { "aria-hidden": "true" }, glyph), h("span", {}, word));
  return element;
}

export const runState = (state) => RUN[state] || [state, "", ""];
export const severity = (level) => SEVERITY[level] || SEVERITY[4];
/** Yes is good, no is bad, nobody knows is worse than either. */
export const flag = (value, yes, no) =>
  value === true ? [yes, "ok", "\u2713"] : value === false ? [no, "major", "\u2715"] : ["NOT KNOWN", "invalid", "?"];

/** A number with a name. */
export function figureBox(label, { lead = false, testid } = {}) {
  const value = h("span", { "data-testid": testid });
  const unit = h("span", { class: "unit" });
  const name = h("div", { class: "label" }, label);
  const element = h(
    "div",
    { class: lead ? "figure lead" : "figure" },
    name,
    h("div", { class: "value" }, value, " ", unit),
  );
  return {
    element,
    set: (text, unitText = "") => (say(value, text), say(unit, unitText)),
    name: (text) => say(name, text),
  };
}
