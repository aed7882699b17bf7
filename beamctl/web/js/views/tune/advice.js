/** What several algorithms would do from the present reading; nothing is written. */

import { send } from "../../api.js";
import { h, put } from "../../dom.js";
import { amount, figureText, isNumber, span, when } from "../../format.js";
import { announce } from "../../ui/notices.js";
import { card, table } from "../../ui/parts.js";

const TONES = ["o1", "o2", "o3", "o4"];
const lastOf = (list) => list.filter(isNumber).at(-1);

export class AdvicePanel {
  /** @param {(overlays: Array) => void} show what the orbit chart shall show beside the present orbit */
  constructor(detail, show) {
    this.detail = detail;
    this.show = show;
    this.body = h(
      "div",
      { class: "stack", "data-testid": "advice" },
      h(
        "p",
        { class: "muted" },
        "Ask what TBSAC, least squares and doing nothing would lead to from the present reading. Nothing is written.",
      ),
    );
    this.element = card("Advice", this.body);
    this.advice = null;
    this.atEnd = true;
  }

  async ask(asked) {
    put(this.body, h("p", { class: "muted" }, "Asking\u2026"));
    try {
      this.advice = await send("POST", "/advice", asked);
      this.draw();
      announce("Advice is there.");
    } catch (problem) {
      this.advice = null;
      this.show([]);
      put(this.body, h("p", { class: "fault", role: "alert", "data-testid": "advice-fault" }, problem.words));
    }
  }

  clear() {
    if (!this.advice) return;
    this.advice = null;
    this.show([]);
    put(this.body, h("p", { class: "muted" }, "A run has begun; ask again when it has ended."));
  }

  draw() {
    const { advice } = this;
    const heads = [
      "Who",
      { text: "After one step", num: true },
      { text: "At the end", num: true },
      { text: "Largest change", num: true },
    ];
    const rows = advice.options.map((option, i) => this.line(option, i));
    const notes = advice.options
      .filter((option) => option.error || option.note)
      .map((option) => h("li", {}, h("strong", {}, `${option.title}: `), option.error || option.note));
    put(
      this.body,
      h(
        "p",
        { class: "small muted" },
        "From the reading of ",
        when(advice.time),
        `: ${figureText(advice.figure, advice.figures[advice.figure])}. ${advice.is_reached ? "The goal is reached already." : ""}`,
      ),
      table("What each of them would lead to", heads, rows, { "data-testid": "advice-table" }),
      notes.length ? h("ul", { class: "bullets small" }, notes) : null,
      advice.unfit.length ? h("p", { class: "small" }, "Nothing could be written now: ", advice.unfit.join(" ")) : null,
      this.isDrawn ? this.choice() : null,
      h(
        "p",
        { class: "small muted" },
        advice.preflight ? `Uses the preflight of run ${advice.preflight}. ` : "No preflight is used. ",
        "Read from the machine ",
        span(advice.age_s),
        " before.",
      ),
    );
    this.overlay();
  }

  get isDrawn() {
    return this.detail.kind === "orbit";
  }

  line(option, i) {
    const { figure } = this.advice;
    const steps = Math.max(0, option.rollout.filter(isNumber).length - 1);
    const largest = option.change_a.reduce((most, change) => Math.max(most, Math.abs(change)), 0);
    const name = h(
      "span",
      { class: "option" },
      h("span", { class: "swatch dash", style: { color: `var(--${TONES[i % 4]})` }, "aria-hidden": "true" }),
      option.title,
    );
    if (option.error) return [name, "\u2013", "\u2013", "\u2013"];
    const end = lastOf(option.rollout);
    return [
      name,
      figureText(figure, option.predicted[figure]),
      isNumber(end) ? `${figureText(figure, end)} (${steps} st.)` : "\u2013",
      amount(largest, "A", 2),
    ];
  }

  choice() {
    const one = (atEnd, text) =>
      h(
        "label",
        { class: "check" },
        h("input", {
          type: "radio",
          name: "advice-when",
          checked: this.atEnd === atEnd,
          on: {
            change: () => {
              this.atEnd = atEnd;
              this.overlay();
            },
          },
        }),
        text,
      );
    return h(
      "fieldset",
      { class: "row small" },
      h("legend", { class: "unseen" }, "Orbit shown"),
      one(true, "Orbit at the end"),
      one(false, "Orbit after one step"),
    );
  }

  overlay() {
    const { advice } = this;
    if (!advice || !this.isDrawn) return;
    this.show(
      advice.options
        .map((option, i) => ({
          name: option.title,
          tone: TONES[i % 4],
          values: this.atEnd && option.final_values.some(isNumber) ? option.final_values : option.predicted_values,
          setpoints: this.detail.knobs.map((knob) => option.setpoint_a[advice.knobs.indexOf(knob.name)] ?? null),
        }))
        .filter((one) => one.values.some(isNumber)),
    );
  }
}
