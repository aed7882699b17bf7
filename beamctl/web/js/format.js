/** Numbers, units and times as people read them. */

import { h } from "./dom.js";

const FIGURES = {
  rms_mm: { label: "RMS", unit: "mm", digits: 3 },
  max_mm: { label: "Largest", unit: "mm", digits: 3 },
  transmission: { label: "Transmission", unit: "", digits: 3 },
  acct_ma: { label: "ACCT", unit: "mA", digits: 3 },
  mfc1_ma: { label: "MFC1", unit: "mA", digits: 3 },
};

/** Label, unit and digits of a figure, by its name. */
export function figure(name) {
  if (FIGURES[name]) return FIGURES[name];
  const unit = name.endsWith("_mm") ? "mm" : name.endsWith("_ma") ? "mA" : "";
  return { label: name.replace(/_(mm|ma)$/, "").replaceAll("_", " "), unit, digits: 3 };
}

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with so many digits behind the point; a dash where it is not known. */
export const num = (value, digits = 3) =>
  isNumber(value)
    ? value
        .toFixed(digits)
        .replace(/^-(0\.?0*)$/, "$1")
        .replace("-", "\u2212")
    : "\u2013";

/** With a sign. */
export const signed = (value, digits = 2) =>
  isNumber(value) && value > 0 ? `+${num(value, digits)}` : num(value, digits);

/** With its unit. */
export const amount = (value, unit, digits = 3) => (unit ? `${num(value, digits)} ${unit}` : num(value, digits));

/** A figure of a task, with its unit. */
export function figureText(name, value) {
  const { unit, digits } = figure(name);
  return amount(value, unit, digits);
}

/** The first figure of a kind of task. */
export const leading = (kind) => (kind === "transmission" ? "transmission" : "rms_mm");

/** Whether one value of a figure is better than another. */
export const isBetter = (kind, one, other) => (kind === "transmission" ? one > other : one < other);

/** A span of time. */
export function span(seconds) {
  if (!isNumber(seconds)) return "not known";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

const two = (value) => String(value).padStart(2, "0");
export const utcClock = (date) =>
  `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
export const localClock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
const utcDay = (date) => `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
const localDay = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** UTC and local time, where they differ; the days differ around midnight. */
export function when(iso) {
  if (!iso) return h("span", { class: "muted" }, "\u2013");
  const date = new Date(iso);
  const local = localDay(date) === utcDay(date) ? localClock(date) : `${localDay(date)} ${localClock(date)}`;
  const isSame = date.getTimezoneOffset() === 0;
  return h(
    "time",
    { datetime: iso, class: "nowrap" },
    `${utcDay(date)} ${utcClock(date)} UTC`,
    isSame ? null : h("span", { class: "local" }, ` (${local} local)`),
  );
}

/** First characters of a hash. */
export const short = (hash) => (hash ? hash.slice(0, 12) : "\u2013");

/** How a run ended, in a sentence. */
export function ending({ outcome, reason }) {
  const isSaid = reason.toLowerCase().startsWith(outcome.toLowerCase());
  return sentence(isSaid || !reason ? reason || outcome : [outcome, reason].filter(Boolean).join(": "));
}

/** The first letter large, a full stop at the end. */
export function sentence(text) {
  const words = (text || "").trim();
  return words ? words[0].toUpperCase() + words.slice(1) + (/[.!?:]$/.test(words) ? "" : ".") : "";
}

/** `1 step`, `2 steps`. */
export const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
