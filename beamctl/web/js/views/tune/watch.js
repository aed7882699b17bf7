/** A run as it goes on: its state and why, how far it is, what it proposes. */

import { CourseChart } from "../../charts/course.js";
import { command } from "../../commands.js";
import { h, mark, put, say } from "../../dom.js";
import { ending, figure, figureText, isNumber, leading, num, sentence, signed, span } from "../../format.js";
import { may } from "../../store.js";
import { button, card, table } from "../../ui/parts.js";
import { badge, figureBox, rebadge, runState, STUCK } from "../../words.js";

export class WatchPanel {
  constructor(detail) {
    this.detail = detail;
    this.name = leading(detail.kind);
    this.state = badge(runState("idle"), { class: "badge big", "data-testid": "run-state" });
    this.title = h("strong", { "data-testid": "run-title" });
    this.reason = h("p", { "data-testid": "run-reason" });
    this.hint = h("p", { class: "muted", "data-testid": "run-hint" });
    this.countdown = h("p", { class: "countdown", "data-testid": "countdown", role: "timer" });
    this.progress = h("progress", { class: "progress", "aria-label": "Steps taken" });
    this.steps = h("p", { class: "small muted", "data-testid": "run-steps" });
    this.found = figureBox("As found", { testid: "run-found" });
    this.now = figureBox("Last step", { testid: "run-last" });
    this.best = figureBox("Best", { testid: "run-best" });
    this.proposal = h("div", { "data-testid": "proposal" });
    this.chart = new CourseChart(this.name, { height: "11rem" });
    this.link = h("a", { "data-testid": "run-link" }, "Whole record");
    this.element = card(
      "Run",
      h(
        "div",
        { class: "stack tight" },
        h("div", { class: "row" }, this.state, this.title),
        this.reason,
        this.hint,
        this.countdown,
        this.progress,
        this.steps,
        h("div", { class: "figures" }, this.found.element, this.now.element, this.best.element),
        this.proposal,
        this.chart.element,
        h("p", {}, this.link),
      ),
    );
    this.element.hidden = true;
  }

  async begin() {
    await this.chart.begin();
  }

  draw(watch, summary) {
    const isShown = Boolean(watch) && (summary.is_owned || watch.run.kind !== "preflight");
    this.element.hidden = !isShown;
    if (!isShown) return;
    const { run, steps } = watch;
    say(this.element.querySelector("h2"), run.is_over ? "Last run" : "Run");
    rebadge(this.state, runState(run.state));
    say(this.title, `Run ${run.id}: ${run.algorithm}, by ${run.principal}`);
    say(this.reason, run.is_over ? ending(run) : sentence(run.hold?.reason || run.reason));
    say(this.hint, STUCK.includes(run.state) ? "" : run.hint);
    const left = watch.restoresIn;
    this.countdown.hidden = left === null;
    if (left !== null) say(this.countdown, `Everything is restored by itself in ${span(left)}`);
    this.progress.hidden = run.is_over || !run.max_steps;
    if (run.max_steps) Object.assign(this.progress, { max: run.max_steps, value: Math.min(run.step, run.max_steps) });
    say(
      this.steps,
      run.max_steps
        ? `Step ${run.step} of ${run.max_steps}${run.is_over ? "" : `. Goal: ${run.goal}`}`
        : `Step ${run.step}`,
    );
    this.drawFigures(run, steps, watch.best);
    this.drawProposal(watch);
    this.link.href = `#/history/${run.id}`;
    this.chart.element.hidden = steps.length < 2;
    this.chart.update({
      courses: [{ name: `Run ${run.id}`, values: steps.map((step) => step.figures[this.name] ?? null) }],
      target: run.target,
      max: run.is_over ? 0 : Math.min(run.max_steps || 0, Math.max(10, steps.length + 3)),
    });
  }

  drawFigures(run, steps, best) {
    const { unit, digits } = figure(this.name);
    const show = (box, value) => box.set(num(value, digits), unit);
    show(this.found, run.initial[this.name] ?? steps[0]?.figures[this.name]);
    show(this.now, steps.findLast((step) => isNumber(step.figures[this.name]))?.figures[this.name]);
    show(this.best, best?.figures[this.name] ?? run.best[this.name]);
  }

  drawProposal(watch) {
    const { proposal } = watch.run;
    const key = proposal ? JSON.stringify([watch.run.version, watch.sent, watch.run.allowed]) : "";
    if (this.proposal.dataset.key === key) return;
    mark(this.proposal, "data-key", key);
    if (!proposal) {
      put(this.proposal);
      return;
    }
    const rows = watch.run.knobs.map((name, i) => [
      name,
      num(proposal.setpoint_a[i], 2),
      signed(proposal.change_a[i], 2),
    ]);
    const expected = Object.entries(proposal.predicted)
      .map(([name, value]) => `${figure(name).label} ${figureText(name, value)}`)
      .join(", ");
    put(
      this.proposal,
      h(
        "div",
        { class: "stack tight proposal" },
        h("h3", {}, `Step ${proposal.step} waits for approval`),
        h("p", {}, expected ? `Expected: ${expected}.` : "The model cannot tell what it leads to."),
        may("operator") ? this.approvals(watch, proposal) : null,
        table(
          "Proposed setpoints",
          ["Knob", { text: "Setpoint, A", num: true }, { text: "Change, A", num: true }],
          rows,
        ),
      ),
    );
  }

  approvals(watch, proposal) {
    const { sent } = watch;
    const all = watch.run.allowed.includes("resume")
      ? button(
          sent.resume ? `Go on without asking: ${sent.resume}` : "Go on without asking",
          () => command(watch, "resume"),
          { "data-testid": "command-approve-all" },
        )
      : null;
    return h(
      "div",
      { class: "row" },
      button(
        sent.approve ? `Approve: ${sent.approve}` : `Approve step ${proposal.step}`,
        () => command(watch, "approve"),
        { class: "button main", "data-testid": "command-approve" },
      ),
      all,
    );
  }

  dispose() {
    this.chart.dispose();
  }
}
