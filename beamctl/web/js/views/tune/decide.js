/** What a person has to decide: conflicts, faults, what has not been restored. */

import { command } from "../../commands.js";
import { h, put } from "../../dom.js";
import { num, sentence, span } from "../../format.js";
import { may } from "../../store.js";
import { button, card, table } from "../../ui/parts.js";
import { badge, runState, STUCK } from "../../words.js";

const TEXT = {
  takeover: "Take over: go on with their value",
  restore: "Restore ours",
  leave: "Leave everything as it is",
  clear: "Clear: leave as it is, free the section",
};

/** Setpoints of a run: before, written, now. */
export function setpointTable(setpoints) {
  const heads = [
    "Setpoint",
    { text: "As found, A", num: true },
    { text: "Written last, A", num: true },
    { text: "Now, A", num: true },
    { text: "Readback, A", num: true },
    "Restore",
  ];
  return table(
    "What became of every setpoint",
    heads,
    setpoints.map((line) => [
      h("span", { title: line.pv }, line.name),
      num(line.snapshot, 2),
      num(line.last, 2),
      line.now === null
        ? "not known"
        : `${num(line.now, 2)}${line.now_age_s > 3 ? ` (${span(line.now_age_s)} old)` : ""}`,
      num(line.readback, 2),
      line.is_owed
        ? badge(["owed", "major", "!"])
        : [line.restored, line.message].filter(Boolean).join(": ") || "\u2013",
    ]),
    { "data-testid": "setpoints" },
  );
}

export class DecidePanel {
  constructor() {
    this.element = h("div", { "data-testid": "decide" });
    this.key = "";
  }

  draw(watch) {
    const run = watch?.run;
    const isNeeded = Boolean(run) && !run.is_over && STUCK.includes(run.state);
    const isOwed = Boolean(run) && run.restore_owed && run.is_over;
    this.element.hidden = !isNeeded && !isOwed;
    const key =
      isNeeded || isOwed
        ? JSON.stringify([
            run.version,
            run.reason,
            run.allowed,
            watch.sent,
            watch.setpoints.map((line) => [line.now, line.restored]),
          ])
        : "";
    if (key === this.key) return;
    this.key = key;
    put(this.element, key ? this.content(watch, isNeeded) : []);
  }

  content(watch, isNeeded) {
    const { run } = watch;
    const verbs = Object.keys(TEXT).filter(
      (verb) => run.allowed.includes(verb) && !(verb === "leave" && run.allowed.includes("clear")),
    );
    const box = card(
      isNeeded ? "A person decides" : "Restore owed",
      h(
        "div",
        { class: "stack tight" },
        h(
          "div",
          { class: "row" },
          badge(runState(run.state), { class: "badge big" }),
          h("strong", {}, `Run ${run.id}`),
        ),
        h("p", {}, sentence(run.reason)),
        run.hint && h("p", { class: "muted" }, run.hint),
        isNeeded ? null : h("p", {}, "What this run has written has neither been accepted nor restored."),
        may("operator")
          ? h(
              "div",
              { class: "row" },
              verbs.map((verb) =>
                button(
                  watch.sent[verb] ? `${TEXT[verb]} (${watch.sent[verb]})` : TEXT[verb],
                  () => command(watch, verb),
                  { class: verb === "restore" ? "button main" : "button", "data-testid": `command-${verb}` },
                ),
              ),
            )
          : null,
        setpointTable(watch.setpoints),
      ),
    );
    box.classList.add("urgent");
    return box;
  }
}
