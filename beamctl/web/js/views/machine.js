/** The machine at one glance: stations along the beam line, and what each section is doing. */

import { send } from "../api.js";
import { h, mark, put, say } from "../dom.js";
import { figure, leading, num, sentence, span } from "../format.js";
import { schedule, unschedule } from "../frame.js";
import { loadRequests, reading, sectionDetail } from "../model.js";
import { may, store } from "../store.js";
import { wantLive } from "../stream.js";
import { heartbeatWords } from "../ui/header.js";
import { notice } from "../ui/notices.js";
import { button, card, facts, table } from "../ui/parts.js";
import { badge, figureBox, rebadge, runState, severity, stateWord } from "../words.js";
import { Conditions } from "./shared/conditions.js";

export const usesLive = true;

/** What a section is doing now; an ended run leaves it idle, unless it owes a restore. */
function standing(summary) {
  if (summary.is_owned) return runState(summary.state);
  return summary.restore_owed ? ["Restore owed", "major", "!"] : runState("idle");
}

function station(element, summary) {
  const state = summary && badge(standing(summary), { "data-testid": `station-state-${element.name}` });
  const lead = h("span", { class: "lead" });
  const body = [h("span", { class: `shape ${summary?.kind || "plain"}`, "aria-hidden": "true" }), h("strong", {}, element.title.split(",")[0]), lead, state];
  const item = summary
    ? h("a", { class: "station", href: `#/tune/${summary.key}`, "data-testid": `station-${element.name}` }, body)
    : h("div", { class: "station quiet", "data-testid": `station-${element.name}` }, body);
  return { element: h("li", {}, item), item, lead, state, key: summary?.key };
}

class SectionCard {
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
    this.element = h("section", { class: "card section", "aria-label": summary.title, "data-testid": `section-${summary.key}` },
      h("div", { class: "title" }, h("h2", {}, h("a", { href: `#/tune/${summary.key}` }, summary.title)), this.state),
      h("div", { class: "row" }, this.lead.element), this.conditions.element, h("p", { class: "row" }, this.alarm, this.alarms), this.who, this.reason);
  }

  draw(summary) {
    const now = reading(this.key);
    rebadge(this.state, standing(summary));
    mark(this.lead.element, "class", now && !now.isStale ? "figure lead" : "figure lead stale");
    const name = leading(summary.kind);
    this.lead.set(num(now?.live.figures[name], figure(name).digits), figure(name).unit);
    this.conditions.draw(now);
    const faulty = now ? alarmsOf(this.detail, now.live) : [];
    say(this.alarms, !now ? "" : now.isStale ? "Alarms: not known now" : faulty.length ? `${faulty.length} of ${this.detail.channels.length + this.detail.knobs.length} signals in alarm` : "No alarms");
    this.alarm.hidden = !faulty.length || now.isStale;
    if (faulty.length) rebadge(this.alarm, severity(faulty[0].level));
    say(this.who, summary.is_owned ? `Run ${summary.run} by ${summary.owner}: ${summary.task}, step ${summary.step}${summary.max_steps ? ` of ${summary.max_steps}` : ""}` : summary.run ? `Nobody has it. Last: run ${summary.run}, ${stateWord(summary.state).toLowerCase()}.` : "Nobody has it. No run yet.");
    say(this.reason, sentence(summary.reason));
  }
}

/** Signals with a severity, the worst first. */
function alarmsOf(detail, live) {
  const found = [];
  live.severity.forEach((level, i) => (level || !live.valid[i]) && found.push({ level: level || 3, name: detail.channels[i].name, pv: detail.channels[i].pv, section: detail.title, isBelieved: live.valid[i] }));
  live.knob_severity.forEach((level, i) => level && found.push({ level, name: detail.knobs[i].name, pv: detail.knobs[i].readback_pv, section: detail.title, isBelieved: true }));
  if (live.current_severity) found.push({ level: live.current_severity, name: "Beam current", pv: detail.current_pv, section: detail.title, isBelieved: true });
  return found.sort((a, b) => b.level - a.level);
}

export async function show({ root, onLeave }) {
  const overview = store.get("overview");
  const details = await Promise.all(overview.sections.map((section) => sectionDetail(section.key)));
  wantLive(overview.sections.map((section) => section.key));
  const byKey = Object.fromEntries(overview.sections.map((section) => [section.key, section]));
  const stations = overview.beamline.map((element) => station(element, byKey[element.section]));
  const cards = overview.sections.map((section, i) => new SectionCard(section, details[i]));
  const control = h("div", { "data-testid": "control-message" });
  const alarms = h("div", { "data-testid": "alarms" });
  const waiting = h("div", { "data-testid": "waiting" });
  const heart = h("span", { "data-testid": "control-heartbeat" });
  put(root,
    h("div", { class: "head" }, h("h1", {}, "Machine"), h("p", { class: "muted" }, store.get("service").machines.join(", "))),
    h("section", { class: "card line", "aria-label": "Beam line" }, h("ol", { class: "beamline" }, stations.map((one) => one.element))),
    h("div", { class: "sections" }, cards.map((one) => one.element)),
    h("div", { class: "pair" }, card("Alarms", alarms), h("div", { class: "stack" }, card("Control process", control), card("Waiting requests", waiting))));

  let alarmKey = null;
  const drawAlarms = () => {
    const found = details.flatMap((detail) => (reading(detail.key) ? alarmsOf(detail, reading(detail.key).live) : []));
    const isKnown = details.some((detail) => reading(detail.key) && !reading(detail.key).isStale);
    const key = JSON.stringify([found, isKnown]);
    if (key === alarmKey) return;
    alarmKey = key;
    put(alarms, found.length ? table("Signals in alarm", ["Severity", "Signal", "Section", "PV"], found.map((one) => [badge(one.isBelieved ? severity(one.level) : ["NOT VALID", "invalid", "\u2715"]), one.name, one.section, h("code", {}, one.pv)])) : h("p", { class: "muted" }, isKnown ? "Every signal that is read is in order." : "No fresh readings: nothing is known."));
  };
  let drawn = 0;
  const draw = () => {
    if (performance.now() - drawn < 230) return;
    drawn = performance.now();
    const now = Object.fromEntries(store.get("overview").sections.map((section) => [section.key, section]));
    for (const one of cards) if (now[one.key]) one.draw(now[one.key]);
    for (const one of stations) if (one.key && now[one.key]) drawStation(one, now[one.key]);
    drawAlarms();
    say(heart, heartbeatWords(store.get("control")));
  };
  const drawControl = () => {
    const state = store.get("control");
    put(control, facts([["State", badge(state.is_halted ? ["Frozen by PV", "major", "\u25a0"] : state.is_alive ? ["Alive", "ok", "\u2713"] : ["Down", "major", "\u2715"])], ["Heartbeat", heart], ["Where", state.owner || "\u2013"], ["Says", state.message]]), state.is_alive ? null : h("p", { class: "muted" }, "Looking at records, agents and accounts still works. Nothing is written by the service meanwhile; what was written before is brought back as soon as a control process runs."));
  };
  let controlKey = "";
  const controlChanged = () => {
    const { is_alive, is_halted, message, owner } = store.get("control");
    const key = JSON.stringify([is_alive, is_halted, message, owner]);
    if (key !== controlKey) drawControl();
    controlKey = key;
  };
  const drawWaiting = () => put(waiting, requestList(store.get("requests")));
  const later = () => schedule(draw);
  controlChanged();
  drawWaiting();
  draw();
  const timer = setInterval(later, 500);
  for (const off of [store.on("live", later), store.on("overview", later), store.on("control", controlChanged), store.on("requests", drawWaiting)]) onLeave(off);
  onLeave(() => {
    clearInterval(timer);
    unschedule(draw);
  });
}

function drawStation(one, summary) {
  const now = reading(one.key);
  const name = leading(summary.kind);
  const { unit, digits } = figure(name);
  rebadge(one.state, standing(summary));
  say(one.lead, now ? unit ? `${num(now.live.figures[name], digits)} ${unit}` : `T = ${num(now.live.figures[name], digits)}` : "no data");
  mark(one.item, "data-active", summary.is_owned ? "true" : null);
  mark(one.item, "data-stale", !now || now.isStale ? "true" : null);
}

/** Requests that nobody has taken, with a way to take them back. */
export function requestList(requests) {
  if (!requests?.length) return h("p", { class: "muted" }, "None.");
  return table("Waiting requests", ["Request", "Task", "By", "Since", "Change"], requests.map((one) => [
    String(one.id), one.task, one.principal, `${span((Date.now() + (store.get("offset") || 0) - new Date(one.created)) / 1000)} ago`,
    may("operator") ? button("Cancel", async () => {
      await send("DELETE", `/requests/${one.id}`).catch((problem) => notice(problem.words, { tone: "major" }));
      await loadRequests();
    }, { class: "button small", "data-testid": `cancel-request-${one.id}` }) : "",
  ]));
}
