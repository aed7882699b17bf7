/** The machine at one glance: stations along the beam line, and what each section is doing. */

import { h, mark, put, say } from "../dom.js";
import { figure, leading, num } from "../format.js";
import { schedule, unschedule } from "../frame.js";
import { reading, sectionDetail } from "../model.js";
import { store } from "../store.js";
import { wantLive } from "../stream.js";
import { heartbeatWords } from "../ui/header.js";
import { card, facts, table } from "../ui/parts.js";
import { badge, rebadge, severity } from "../words.js";
import { requestList } from "./shared/requests.js";
import { alarmsOf, SectionCard, standing } from "./shared/section.js";

export const usesLive = true;

function station(element, summary) {
  const state = summary && badge(standing(summary), { "data-testid": `station-state-${element.name}` });
  const lead = h("span", { class: "lead" });
  const body = [
    h("span", { class: `shape ${summary?.kind || "plain"}`, "aria-hidden": "true" }),
    h("strong", {}, element.title.split(",")[0]),
    lead,
    state,
  ];
  const item = summary
    ? h("a", { class: "station", href: `#/tune/${summary.key}`, "data-testid": `station-${element.name}` }, body)
    : h("div", { class: "station quiet", "data-testid": `station-${element.name}` }, body);
  return { element: h("li", {}, item), item, lead, state, key: summary?.key };
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
  put(
    root,
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Machine"),
      h("p", { class: "muted" }, store.get("service").machines.join(", ")),
    ),
    h(
      "section",
      { class: "card line", "aria-label": "Beam line" },
      h(
        "ol",
        { class: "beamline" },
        stations.map((one) => one.element),
      ),
    ),
    h(
      "div",
      { class: "sections" },
      cards.map((one) => one.element),
    ),
    h(
      "div",
      { class: "pair" },
      card("Alarms", alarms),
      h("div", { class: "stack" }, card("Control process", control), card("Waiting requests", waiting)),
    ),
  );

  let alarmKey = null;
  const drawAlarms = () => {
    const found = details.flatMap((detail) => (reading(detail.key) ? alarmsOf(detail, reading(detail.key).live) : []));
    const isKnown = details.some((detail) => reading(detail.key) && !reading(detail.key).isStale);
    const key = JSON.stringify([found, isKnown]);
    if (key === alarmKey) return;
    alarmKey = key;
    put(
      alarms,
      found.length
        ? table(
            "Signals in alarm",
            ["Severity", "Signal", "Section", "PV"],
            found.map((one) => [
              badge(one.isBelieved ? severity(one.level) : ["NOT VALID", "invalid", "\u2715"]),
              one.name,
              one.section,
              h("code", {}, one.pv),
            ]),
          )
        : h(
            "p",
            { class: "muted" },
            isKnown ? "Every signal that is read is in order." : "No fresh readings: nothing is known.",
          ),
    );
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
    put(
      control,
      facts([
        [
          "State",
          badge(
            state.is_halted
              ? ["Frozen by PV", "major", "\u25a0"]
              : state.is_alive
                ? ["Alive", "ok", "\u2713"]
                : ["Down", "major", "\u2715"],
          ),
        ],
        ["Heartbeat", heart],
        ["Where", state.owner || "\u2013"],
        ["Says", state.message],
      ]),
      state.is_alive
        ? null
        : h(
            "p",
            { class: "muted" },
            "Looking at records, agents and accounts still works. Nothing is written by the service meanwhile; what was written before is brought back as soon as a control process runs.",
          ),
    );
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
  for (const off of [
    store.on("live", later),
    store.on("overview", later),
    store.on("control", controlChanged),
    store.on("requests", drawWaiting),
  ])
    onLeave(off);
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
  say(
    one.lead,
    now
      ? unit
        ? `${num(now.live.figures[name], digits)} ${unit}`
        : `T = ${num(now.live.figures[name], digits)}`
      : "no data",
  );
  mark(one.item, "data-active", summary.is_owned ? "true" : null);
  mark(one.item, "data-stale", !now || now.isStale ? "true" : null);
}
