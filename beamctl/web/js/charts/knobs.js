/** Setpoint and readback of every corrector or other knob as bars between its limits. */

import { h, mark, say } from "../dom.js";
import { isNumber, num } from "../format.js";
import { schedule, unschedule } from "../frame.js";
import { severityWord } from "../words.js";

const share = (knob, value) => Math.min(1, Math.max(0, (value - knob.lo) / (knob.hi - knob.lo)));

/** Places a bar between zero (or the lower limit) and a value. */
function stretch(element, knob, value) {
  element.hidden = !isNumber(value);
  if (!isNumber(value)) return;
  const zero = share(knob, Math.min(Math.max(0, knob.lo), knob.hi));
  const at = share(knob, value);
  element.style.left = `${Math.min(zero, at) * 100}%`;
  element.style.width = `max(0.25rem, ${Math.abs(at - zero) * 100}%)`;
}

function place(element, knob, value) {
  element.hidden = !isNumber(value);
  if (isNumber(value)) element.style.left = `${share(knob, value) * 100}%`;
}

export class KnobBars {
  /** @param {Array} knobs of the section */
  constructor(knobs) {
    this.knobs = knobs;
    this.state = {};
    this.rows = knobs.map((knob) => this.row(knob));
    this.element = h(
      "div",
      { class: "knobs", "data-testid": "knobs" },
      h(
        "div",
        { class: "knob head small muted" },
        h("span", {}, ""),
        h("span", {}, "between the limits"),
        h("span", { class: "num" }, "set, A"),
        h("span", { class: "num" }, "read, A"),
      ),
      this.rows.map((row) => row.element),
    );
    this.draw = () => this.paint();
  }

  row(knob) {
    const part = (name) => h("span", { class: name, hidden: true });
    const parts = { set: part("set"), read: part("read"), found: part("found"), next: part("next") };
    const zero = h("span", { class: "zero" });
    const setText = h("span", { class: "num value" });
    const readText = h("span", { class: "num" });
    place(zero, knob, knob.lo <= 0 && knob.hi >= 0 ? 0 : null);
    const track = h(
      "span",
      {
        class: "track",
        "aria-hidden": "true",
        title: `${num(knob.lo, 1)} to ${num(knob.hi, 1)} A, at most ${num(knob.step, 2)} A a step`,
      },
      zero,
      parts.read,
      parts.set,
      parts.found,
      parts.next,
    );
    const element = h(
      "div",
      { class: "knob", "data-testid": `knob-${knob.name}`, "data-plane": knob.plane },
      h("span", { class: "name", title: knob.setpoint_pv }, knob.name),
      track,
      setText,
      readText,
    );
    return { ...parts, element, setText, readText };
  }

  /** @param {{live?: object, found?: number[]|null, next?: number[]|null}} state `next`: proposed setpoints */
  update(state) {
    Object.assign(this.state, state);
    schedule(this.draw);
  }

  paint() {
    const { live, found, next } = this.state;
    this.knobs.forEach((knob, i) => {
      const row = this.rows[i];
      const level = live?.knob_severity[i];
      const setpoint = live?.setpoint_a[i];
      const readback = live?.readback_a[i];
      stretch(row.set, knob, setpoint);
      stretch(row.read, knob, readback);
      place(row.found, knob, found?.[i]);
      place(row.next, knob, next?.[i]);
      say(row.setText, num(setpoint, 2));
      say(row.readText, level ? severityWord(level) : num(readback, 2));
      const isOff = isNumber(setpoint) && isNumber(readback) && Math.abs(setpoint - readback) > knob.tolerance;
      mark(row.element, "data-level", level || (isOff ? "off" : null));
    });
  }

  stale(isStale) {
    mark(this.element, "class", isStale ? "knobs stale" : "knobs");
  }

  dispose() {
    unschedule(this.draw);
  }
}
