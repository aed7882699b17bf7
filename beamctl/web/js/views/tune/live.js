/** What a section reads: its figure, the orbit or the currents, and its correctors. */

import { KnobBars } from "../../charts/knobs.js";
import { OrbitChart } from "../../charts/orbit.js";
import { TrendChart } from "../../charts/trend.js";
import { h, mark } from "../../dom.js";
import { figure, leading, num } from "../../format.js";
import { card } from "../../ui/parts.js";
import { figureBox } from "../../words.js";

const OTHER = ["acct_ma", "mfc1_ma"];

export class LivePanel {
  constructor(detail) {
    this.detail = detail;
    this.isOrbit = detail.kind === "orbit";
    this.name = leading(detail.kind);
    this.target = null;
    this.advice = [];
    const lead = figure(this.name);
    this.lead = figureBox(`${lead.label} now`, { lead: true, testid: "figure-now" });
    this.goal = figureBox("Target", { testid: "figure-target" });
    this.others = this.isOrbit
      ? []
      : OTHER.map((name) => [name, figureBox(figure(name).label, { testid: `figure-${name}` })]);
    this.orbit = this.isOrbit ? new OrbitChart(detail.channels) : null;
    this.trend = new TrendChart(this.isOrbit ? [this.name] : [this.name, ...OTHER], {
      height: this.isOrbit ? "6.2rem" : "20rem",
    });
    this.knobs = new KnobBars(detail.knobs);
    this.figures = h(
      "div",
      { class: "figures" },
      this.lead.element,
      this.goal.element,
      this.others.map(([, box]) => box.element),
    );
    this.element = card(
      this.isOrbit ? "Orbit" : "Beam",
      h("div", { class: this.isOrbit ? "ahead" : "stack" }, this.figures, this.trend.element),
      this.orbit?.element,
    );
    this.correctors = card(
      this.isOrbit ? "Correctors" : "Knobs",
      this.knobs.element,
      h(
        "ul",
        { class: "legend" },
        h(
          "li",
          {},
          h("span", { class: "swatch fill", style: { color: "var(--accent)" }, "aria-hidden": "true" }),
          "setpoint",
        ),
        h(
          "li",
          {},
          h("span", { class: "swatch fill", style: { color: "var(--ok)" }, "aria-hidden": "true" }),
          "readback",
        ),
        h("li", {}, h("span", { class: "mark found", "aria-hidden": "true" }), "as found"),
        h("li", {}, h("span", { class: "mark next", "aria-hidden": "true" }), "proposed"),
      ),
    );
  }

  async begin() {
    await Promise.all([this.orbit?.begin(), this.trend.begin()]);
  }

  /** The goal of the task that is looked at. */
  aim(task, target) {
    this.target = target ?? task?.target ?? null;
    this.trend.setTarget(this.target);
  }

  hear(live) {
    this.trend.add(new Date(live.time).getTime(), live.figures);
  }

  /** @param now reading or null @param watch of the run that has the section, or null */
  draw(now, watch) {
    if (watch?.run.target) this.aim(null, watch.run.target);
    const { unit, digits } = figure(this.name);
    const live = now?.live;
    this.lead.set(num(live?.figures[this.name], digits), unit);
    this.goal.set(`${this.isOrbit ? "<" : "\u2265"} ${num(this.target, 2)}`, unit);
    for (const [name, box] of this.others) box.set(num(live?.figures[name], 3), figure(name).unit);
    const isStale = !now || now.isStale;
    mark(this.figures, "class", isStale ? "figures stale" : "figures");
    if (live) mark(this.figures, "data-reading", live.time);
    this.knobs.stale(isStale);
    const first = watch?.steps[0];
    const next = watch?.run.proposal?.setpoint_a;
    this.knobs.update({
      live,
      found: this.spread(watch, first?.setpoint_a),
      next: next ? this.spread(watch, next) : this.advice[0]?.setpoints || null,
    });
    if (this.orbit) {
      this.orbit.stale(isStale);
      this.orbit.update({
        now: live ? { values: live.median, noise: live.noise, valid: live.valid } : null,
        target: this.target,
        overlays: [...this.ofRun(watch, first), ...this.advice],
      });
    }
  }

  ofRun(watch, first) {
    if (!first) return [];
    const best = watch.best;
    return [
      { name: "as found", values: first.values, tone: "found" },
      ...(best && best !== first ? [{ name: `best, step ${best.step}`, values: best.values, tone: "best" }] : []),
    ];
  }

  /** A run may move fewer knobs than the section has. */
  spread(watch, values) {
    if (!values) return null;
    const at = Object.fromEntries(watch.run.knobs.map((name, i) => [name, values[i]]));
    return this.detail.knobs.map((knob) => at[knob.name] ?? null);
  }

  dispose() {
    this.orbit?.dispose();
    this.trend.dispose();
    this.knobs.dispose();
  }
}
