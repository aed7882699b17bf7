/** Every step of a run with the change of every setpoint. */

import { h, put } from "../../dom.js";
import { figure, leading, num, signed } from "../../format.js";
import { card, table } from "../../ui/parts.js";

const MOST = 60;

/** Steps as rows, the latest first: number, figure, changes from the setting before. */
export function stepRows(steps, name) {
  const { digits } = figure(name);
  return steps
    .map((step, i) => {
      const before = steps[i - 1]?.setpoint_a;
      const changes = step.setpoint_a.map((value, k) => (before ? changeCell(value - before[k]) : num(value, 2)));
      return [
        step.is_again ? `${step.step} again` : step.step === 0 && i === 0 ? "found" : String(step.step),
        num(step.figures[name], digits),
        ...changes,
        step.note,
      ];
    })
    .reverse();
}

function changeCell(change) {
  if (Math.abs(change) < 0.005) return h("span", { class: "muted" }, "0");
  return h("span", { class: change > 0 ? "up" : "down" }, signed(change, 2));
}

/** The table itself. */
export function stepTable(steps, knobs, name) {
  const { label, unit } = figure(name);
  const names = steps[0].setpoint_a.map((_, k) => knobs[k] ?? `${k + 1}`);
  const heads = [
    "Step",
    { text: unit ? `${label}, ${unit}` : label, num: true },
    ...names.map((knob) => ({ text: knob, num: true })),
    "Note",
  ];
  return table(
    "Every step with the change of every setpoint in A; the first row as found shows the setpoints themselves",
    heads,
    stepRows(steps, name).slice(0, MOST),
    { "data-testid": "steps" },
  );
}

export class StepsPanel {
  constructor(detail) {
    this.name = leading(detail.kind);
    this.body = h("div", {});
    this.element = card("Steps: change of every setpoint, A", this.body);
    this.key = "";
  }

  draw(watch, summary) {
    const isShown = Boolean(watch) && watch.steps.length > 0 && (summary.is_owned || watch.run.kind !== "preflight");
    this.element.hidden = !isShown;
    if (!isShown) return;
    const key = `${watch.id} ${watch.steps.length} ${watch.run.knobs.length}`;
    if (key === this.key) return;
    this.key = key;
    put(this.body, stepTable(watch.steps, watch.run.knobs, this.name));
  }
}
