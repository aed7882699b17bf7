/** One section in the overview: what it reads, what it is doing, what is in alarm. */

import { h, mark, say } from "../../dom.js";
import { figure, leading, num, sentence } from "../../format.js";
import { reading } from "../../model.js";
import { badge, figureBox, rebadge, runState, severity, stateWord } from "../../words.js";
import { Conditions } from "./conditions.js";

/** What a section is doing now; an ended run leaves it idle, unless it owes a restore. */
export function standing(summary) {
  if (summary.is_owned) return runState(summary.state);
  return summary.restore_owed ? ["Restore owed", "major", "!"] : runState("idle");
}

export class SectionCard {
  constructor(summary, detail) {
    this.key = summary.key;
    this.detail = detail;
    this.state = badge(standing(summary), { "data-testid": `section-state-${summary.key}` });
    this.lead = figureBox(figure(leading(summary.kind)).label, { lead: true, testid: `section-figure-${summary.key}` });
    this.conditions = new Conditions({ compact: true, floor: detail.current_floor_ma });
    this.who = h("p", { class: "small" });
    this.reason = h("p", { class: "small muted" });
    this.alarm = badge(["", "", ""], { hidden: true });
    this.alarms = h("span", { class: "small" });
    this.element = h(
      "section",
      { class: "card section", "aria-label": summary.title, "data-testid": `section-${summary.key}` },
      h("div", { class: "title" }, h("h2", {}, h("a", { href: `#/tune/${summary.key}` }, summary.title)), this.state),
      h("div", { class: "row" }, this.lead.element),
      this.conditions.element,
      h("p", { class: "row" }, this.alarm, this.alarms),
      this.who,
      this.reason,
    );
  }

  draw(summary) {
    const now = reading(this.key);
    rebadge(this.state, standing(summary));
    mark(this.lead.element, "class", now && !now.isStale ? "figure lead" : "figure lead stale");
    const name = leading(summary.kind);
    this.lead.set(num(now?.live.figures[name], figure(name).digits), figure(name).unit);
    this.conditions.draw(now);
    const faulty = now ? alarmsOf(this.detail, now.live) : [];
    say(
      this.alarms,
      !now
        ? ""
        : now.isStale
          ? "Alarms: not known now"
          : faulty.length
            ? `${faulty.length} of ${this.detail.channels.length + this.detail.knobs.length} signals in alarm`
            : "No alarms",
    );
    this.alarm.hidden = !faulty.length || now.isStale;
    if (faulty.length) rebadge(this.alarm, severity(faulty[0].level));
    say(
      this.who,
      summary.is_owned
        ? `Run ${summary.run} by ${summary.owner}: ${summary.task}, step ${summary.step}${summary.max_steps ? ` of ${summary.max_steps}` : ""}`
        : summary.run
          ? `Nobody has it. Last: run ${summary.run}, ${stateWord(summary.state).toLowerCase()}.`
          : "Nobody has it. No run yet.",
    );
    say(this.reason, sentence(summary.reason));
  }
}

/** Signals with a severity, the worst first. */
export function alarmsOf(detail, live) {
  const found = [];
  live.severity.forEach(
    (level, i) =>
      (level || !live.valid[i]) &&
      found.push({
        level: level || 3,
        name: detail.channels[i].name,
        pv: detail.channels[i].pv,
        section: detail.title,
        isBelieved: live.valid[i],
      }),
  );
  live.knob_severity.forEach(
    (level, i) =>
      level &&
      found.push({
        level,
        name: detail.knobs[i].name,
        pv: detail.knobs[i].readback_pv,
        section: detail.title,
        isBelieved: true,
      }),
  );
  if (live.current_severity)
    found.push({
      level: live.current_severity,
      name: "Beam current",
      pv: detail.current_pv,
      section: detail.title,
      isBelieved: true,
    });
  return found.sort((a, b) => b.level - a.level);
}
