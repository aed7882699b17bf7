/** A run replayed: a slider over its steps, the orbit and the setpoints at each of them. */

import { CourseChart } from "../../charts/course.js";
import { KnobBars } from "../../charts/knobs.js";
import { OrbitChart } from "../../charts/orbit.js";
import { h, say } from "../../dom.js";
import { figure, figureText, isNumber, leading, when } from "../../format.js";
import { card } from "../../ui/parts.js";

export class Replay {
  /** @param run @param {Array} steps @param detail of its section, or null where there is no such section any more */
  constructor(run, steps, detail) {
    this.run = run;
    this.steps = steps;
    this.detail = detail;
    this.name = detail ? leading(detail.kind) : Object.keys(steps[0].figures)[0];
    this.at = steps.length - 1;
    this.slider = h("input", {
      type: "range",
      min: "0",
      max: String(steps.length - 1),
      value: String(this.at),
      "aria-label": "Step",
      "data-testid": "replay",
      on: { input: () => this.go(Number(this.slider.value)) },
    });
    this.words = h("p", { "data-testid": "replay-words", "aria-live": "polite" });
    this.time = h("p", { class: "small muted" });
    this.chart = new CourseChart(this.name, { height: "13rem" });
    this.orbit =
      detail?.kind === "orbit" && steps[0].values.length === detail.channels.length
        ? new OrbitChart(detail.channels, { height: "20rem", label: "Orbit at the step" })
        : null;
    const knobs = this.knobsOf();
    this.knobs = knobs ? new KnobBars(knobs) : null;
    this.element = h(
      "div",
      { class: "stack" },
      card(
        "Replay",
        h(
          "div",
          { class: "replay" },
          this.button("\u2212", -1, "Step before"),
          this.slider,
          this.button("+", 1, "Step after"),
        ),
        this.words,
        this.time,
        this.chart.element,
        this.orbit?.element,
      ),
      this.knobs ? card("Setpoints at this step", this.knobs.element) : null,
    );
  }

  button(text, by, label) {
    return h(
      "button",
      { class: "button", type: "button", "aria-label": label, on: { click: () => this.go(this.at + by) } },
      text,
    );
  }

  /** The knobs of the run as the section describes them. */
  knobsOf() {
    const known = Object.fromEntries((this.detail?.knobs || []).map((knob) => [knob.name, knob]));
    const found = this.run.knobs.map((name) => known[name]);
    return found.length && found.every(Boolean) ? found : null;
  }

  async begin() {
    await Promise.all([this.chart.begin(), this.orbit?.begin()]);
    this.go(this.at);
  }

  go(at) {
    this.at = Math.min(Math.max(0, at), this.steps.length - 1);
    this.slider.value = String(this.at);
    const step = this.steps[this.at];
    const name = this.at === 0 ? "As found" : `Step ${step.step}${step.is_again ? ", read again" : ""}`;
    const figures = Object.entries(step.figures)
      .map(([one, value]) => `${figure(one).label} ${figureText(one, value)}`)
      .join(", ");
    say(this.words, `${name}: ${figures}. ${step.note}`);
    this.time.replaceChildren(
      when(step.time),
      isNumber(step.seconds) ? `, ${step.seconds.toFixed(1)} s after arming` : "",
    );
    this.slider.setAttribute("aria-valuetext", name);
    this.chart.update({
      courses: [{ name: `Run ${this.run.id}`, values: this.steps.map((one) => one.figures[this.name] ?? null) }],
      target: this.run.target,
      at: this.at,
    });
    const live = {
      setpoint_a: step.setpoint_a,
      readback_a: step.readback_a,
      knob_severity: step.setpoint_a.map(() => 0),
    };
    this.knobs?.update({ live, found: this.steps[0].setpoint_a });
    const values = step.values;
    this.orbit?.update({
      now: { values, noise: values.map(() => 0), valid: values.map(isNumber) },
      target: this.run.target,
      overlays: this.at ? [{ name: "as found", values: this.steps[0].values, tone: "found" }] : [],
    });
  }

  dispose() {
    this.chart.dispose();
    this.orbit?.dispose();
    this.knobs?.dispose();
  }
}
