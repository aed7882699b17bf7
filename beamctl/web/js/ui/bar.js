/** The command bar: the same commands at the same place, whatever is looked at. */

import { command } from "../commands.js";
import { h, isTyping, mark, put, say } from "../dom.js";
import { sentence, span } from "../format.js";
import { owned, summaryOf, titleOf } from "../model.js";
import { watchRun } from "../runs.js";
import { may, store } from "../store.js";
import { badge, rebadge, runState, stateWord, STUCK } from "../words.js";
import { announce } from "./notices.js";

const VERBS = [
  { verb: "pause", text: "Pause", hint: "write nothing" },
  { verb: "accept", text: "Accept", hint: "keep the best setting" },
  { verb: "abort", text: "Abort", hint: "Shift+A: restore", key: "A", tone: "abort" },
  { verb: "halt", text: "Halt", hint: "Shift+H: freeze", key: "H", tone: "halt" },
];
const ALWAYS = ["abort", "halt"];

let parts = null;
let held = null;
let chosen = null;
let lastSaid = "";

/** The section that commands are for: that of the view, else the one chosen among those with a run. */
function subject() {
  const active = owned().map((section) => section.key);
  const looked = store.get("viewSection");
  if (looked) return looked;
  return active.includes(chosen) ? chosen : active[0] || null;
}

function subjectRun(section) {
  const summary = summaryOf(section);
  return summary && summary.is_owned ? summary.run : null;
}

function follow() {
  const section = subject();
  const run = section ? subjectRun(section) : null;
  if ((held?.watch.id || null) !== run) {
    held?.release();
    held = run === null ? null : watchRun(run, draw);
    lastSaid = "";
  }
  draw();
}

function explain(section, run) {
  if (!section) return "Nothing runs. Nothing is being written.";
  if (!run) {
    const summary = summaryOf(section);
    if (!summary) return "";
    const before =
      summary.run === null
        ? ""
        : ` Run ${summary.run}, the last one: ${stateWord(summary.state).toLowerCase()}. ${sentence(summary.reason)}`;
    return `No run, nothing is being written.${before}`;
  }
  const left = held.watch.restoresIn;
  const countdown = left === null ? "" : ` Restores by itself in ${span(left)}.`;
  const reason = run.hold?.reason || run.reason || run.hint || "";
  return `${sentence(reason)}${countdown}`;
}

function speak(section, run) {
  if (!run) return;
  const words = `${titleOf(section)}, run ${run.id}: ${stateWord(run.state)}. ${run.hold?.reason || run.reason}`;
  const key = `${run.id} ${run.state} ${run.hold?.reason || ""}`;
  if (lastSaid && lastSaid !== key) announce(words, { now: STUCK.includes(run.state) });
  lastSaid = key;
}

function drawVerb(item, run) {
  const isResume = item.verb === "pause" && run?.allowed.includes("resume") && run.state === "hold";
  const verb = isResume ? "resume" : item.verb;
  const element = parts.buttons[item.verb];
  const sent = held?.watch.sent[verb];
  element.dataset.verb = verb;
  mark(element, "data-testid", `command-${verb}`);
  element.disabled = !run || run.is_over || !(ALWAYS.includes(verb) || run.allowed.includes(verb));
  say(
    element.firstElementChild,
    sent ? `${isResume ? "Resume" : item.text}: ${sent}` : isResume ? "Resume" : item.text,
  );
  say(element.lastElementChild, isResume ? "go on writing" : item.hint);
}

function draw() {
  if (!parts) return;
  const section = subject();
  const watch = held?.watch;
  const run = watch?.run && !watch.run.is_over ? watch.run : null;
  mark(parts.bar, "data-active", run ? "true" : "false");
  const summary = section ? summaryOf(section) : null;
  rebadge(
    parts.state,
    run ? runState(run.state) : summary?.restore_owed ? ["Restore owed", "major", "!"] : runState("idle"),
  );
  const title = run
    ? `${titleOf(section)}, run ${run.id}${run.max_steps ? `, step ${run.step} of ${run.max_steps}` : ""}`
    : section
      ? titleOf(section)
      : "Commands";
  say(parts.title, title);
  const words = explain(section, run);
  say(parts.sentence, words);
  mark(parts.sentence, "title", words);
  drawChoice(section);
  if (parts.buttons) for (const item of VERBS) drawVerb(item, run);
  speak(section, run);
}

function drawChoice(section) {
  const others = store.get("viewSection") ? [] : owned();
  const key = others.map((one) => one.key).join(" ");
  if (parts.choice.dataset.keys !== key) {
    parts.choice.dataset.keys = key;
    put(parts.choice, others.length < 2 ? [] : others.map((one) => h("option", { value: one.key }, one.title)));
    parts.choice.hidden = others.length < 2;
  }
  if (section && parts.choice.value !== section) parts.choice.value = section;
}

function press(verb) {
  if (held?.watch.run && !held.watch.run.is_over) command(held.watch, verb);
}

function onKey(event) {
  if (!event.shiftKey || event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping(event.target))
    return;
  const item = VERBS.find((one) => one.key && one.key === event.key.toUpperCase());
  if (!item || !may("operator") || !held) return;
  event.preventDefault();
  press(item.verb);
}

/** Builds the bar; without buttons for who only looks. */
export function showBar() {
  const place = document.getElementById("bar");
  if (!store.get("session")) {
    held?.release();
    held = parts = null;
    put(place);
    return;
  }
  const state = badge(runState("idle"), { class: "badge big", "data-testid": "bar-state" });
  const title = h("strong", { "data-testid": "bar-title" });
  const words = h("div", { class: "sentence small", "data-testid": "bar-reason" });
  const choice = h("select", {
    class: "input",
    hidden: true,
    "aria-label": "Section that commands are for",
    "data-testid": "bar-section",
    on: {
      change: () => {
        chosen = choice.value;
        follow();
      },
    },
  });
  const buttons = may("operator")
    ? Object.fromEntries(
        VERBS.map((item) => [
          item.verb,
          h(
            "button",
            {
              class: `button ${item.tone || ""}`,
              type: "button",
              on: { click: (event) => press(event.currentTarget.dataset.verb) },
            },
            h("span", {}, item.text),
            h("span", { class: "key" }, item.hint),
          ),
        ]),
      )
    : null;
  const bar = h(
    "section",
    { class: "bar", "aria-label": "Commands", "data-testid": "command-bar" },
    h("div", { class: "what" }, state, h("div", {}, title, words)),
    choice,
    buttons
      ? h("div", { class: "verbs" }, Object.values(buttons))
      : h("span", { class: "muted" }, "You are looking only."),
  );
  put(place, bar);
  parts = { bar, state, title, sentence: words, choice, buttons };
  follow();
}

/** Keeps it up to date. */
export function followBar() {
  store.on("overview", follow);
  store.on("viewSection", follow);
  setInterval(() => held?.watch.restoresIn !== null && held && draw(), 500);
  addEventListener("keydown", onKey);
}
