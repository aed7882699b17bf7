/** Asking for a run. */

import { h, mark, put, say } from "../../dom.js";
import { isNumber } from "../../format.js";
import { may, store } from "../../store.js";
import { button, card, check, field, input, select } from "../../ui/parts.js";
import { confirmStart } from "./confirm.js";

const number = (element) => (element.value.trim() === "" ? null : Number(element.value));

export class StartPanel {
  /** @param {{advise: (asked: object) => void, choose: (task: object, target: number|null) => void}} calls */
  constructor(detail, tasks, calls) {
    this.detail = detail;
    this.tasks = tasks;
    this.calls = calls;
    this.task = select(
      tasks.map((one) => [one.name, one.title]),
      { "data-testid": "task", on: { change: () => this.fill() } },
    );
    this.algorithm = select([], { "data-testid": "algorithm", on: { change: () => this.enable() } });
    this.agent = select([], { "data-testid": "agent" });
    this.target = input({
      type: "number",
      step: "any",
      min: "0",
      "data-testid": "target",
      on: { input: () => this.aim() },
    });
    this.steps = input({ type: "number", step: "1", min: "1", max: "1000", "data-testid": "max-steps" });
    this.percent = input({
      type: "number",
      step: "any",
      min: "0.1",
      max: "100",
      placeholder: "own limit",
      "data-testid": "step-percent",
    });
    this.review = check("Review at the end: accept or abort", { "data-testid": "review", checked: true });
    this.approval = check("Approve every step", { "data-testid": "approval" });
    this.dry = check("Dry run: propose one step, write nothing", { "data-testid": "dry-run" });
    this.note = input({ type: "text", maxlength: "500", "data-testid": "note" });
    this.fault = h("p", { class: "fault", role: "alert" });
    this.targetField = field("Target", this.target);
    this.go = button("Start\u2026", () => this.confirm(), { class: "button main", "data-testid": "start" });
    this.why = h("p", { class: "small muted", "data-testid": "start-why" });
    this.advice = button("Ask for advice", () => this.advise(), { "data-testid": "ask-advice" });
    this.element = may("operator")
      ? card("Start a run", this.form())
      : card(
          "Advice",
          h(
            "div",
            { class: "stack" },
            field("Task", this.task),
            h("p", { class: "muted" }, "You are looking only. Advice writes nothing."),
            this.advice,
            this.fault,
          ),
        );
    this.fill();
  }

  form() {
    return h(
      "form",
      { class: "stack tight", on: { submit: (event) => event.preventDefault() } },
      field("Task", this.task),
      h("div", { class: "fields two" }, field("Algorithm", this.algorithm), field("Agent", this.agent)),
      h(
        "div",
        { class: "fields three" },
        this.targetField,
        field("Steps, most", this.steps),
        field("Step, % of range", this.percent),
      ),
      h("div", { class: "checks" }, this.review.element, this.approval.element, this.dry.element),
      field("Note for the record", this.note),
      this.fault,
      h("div", { class: "row" }, this.go, this.advice),
      this.why,
    );
  }

  get chosen() {
    return this.tasks.find((one) => one.name === this.task.value) || this.tasks[0];
  }

  setTasks(tasks) {
    this.tasks = tasks;
    const agent = this.agent.value;
    this.fillAgents();
    this.agent.value = [...this.agent.options].some((one) => one.value === agent) ? agent : "";
  }

  /** Defaults of the task. */
  fill() {
    const task = this.chosen;
    put(
      this.algorithm,
      task.algorithms.map((name, i) => h("option", { value: name }, i ? name : `${name} (default)`)),
    );
    this.fillAgents();
    this.target.value = String(task.target);
    put(this.targetField.querySelector("label"), task.target_unit === "mm" ? "Target, mm RMS" : "Target T");
    this.steps.value = String(task.max_steps);
    this.enable();
    this.aim();
  }

  fillAgents() {
    const agents = this.chosen.agents;
    put(
      this.agent,
      agents.length
        ? agents.map((name, i) => h("option", { value: i ? name : "" }, i ? name : `${name} (default)`))
        : h("option", { value: "" }, "none enabled"),
    );
  }

  enable() {
    this.agent.disabled = !this.algorithm.value.startsWith("tbsac");
  }

  aim() {
    const target = number(this.target);
    this.calls.choose(this.chosen, isNumber(target) && target > 0 ? target : null);
  }

  /** What is asked for, without what is the default. */
  asked() {
    const body = {
      task: this.chosen.name,
      algorithm: this.algorithm.value,
      review: this.review.box.checked,
      approval: this.approval.box.checked,
      dry_run: this.dry.box.checked,
      note: this.note.value,
    };
    if (!this.agent.disabled && this.agent.value) body.agent = this.agent.value;
    if (number(this.target) !== null) body.target = number(this.target);
    if (number(this.steps) !== null) body.max_steps = number(this.steps);
    if (number(this.percent) !== null) body.step_percent = number(this.percent);
    return body;
  }

  check() {
    const wrong = [];
    for (const [element, name] of [
      [this.target, "target"],
      [this.steps, "steps"],
      [this.percent, "step"],
    ]) {
      const isWrong = !element.checkValidity();
      mark(element, "aria-invalid", isWrong ? "true" : null);
      if (isWrong) wrong.push(`${name}: ${element.validationMessage}`);
    }
    put(this.fault, wrong.join(" "));
    return wrong.length === 0;
  }

  async confirm() {
    if (this.check()) await confirmStart(this.detail, this.chosen, this.asked());
  }

  advise() {
    if (!this.check()) return;
    const asked = { task: this.chosen.name };
    if (number(this.target) !== null) asked.target = number(this.target);
    if (!this.agent.disabled && this.agent.value) asked.agent = this.agent.value;
    this.calls.advise(asked);
  }

  draw(now) {
    const control = store.get("control");
    const isOld = !now || now.isStale;
    this.advice.disabled = isOld;
    say(
      this.why,
      `${isOld ? "Advice needs a fresh reading. " : ""}${control?.is_alive ? "" : "There is no control process: a run would wait for one."}`,
    );
  }
}
