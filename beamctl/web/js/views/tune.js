/** Tuning one section: what it reads, what could be done, what a run is doing. */

import { sentence } from "../format.js";
import { h, mark, put } from "../dom.js";
import { reading, sectionDetail, summaryOf, tasksOf } from "../model.js";
import { go } from "../router.js";
import { watchRun } from "../runs.js";
import { store } from "../store.js";
import { wantLive } from "../stream.js";
import { banner, card, tabs } from "../ui/parts.js";
import { badge, rebadge, runState } from "../words.js";
import { schedule, unschedule } from "../frame.js";
import { Conditions } from "./shared/conditions.js";
import { requestList } from "./shared/requests.js";
import { AdvicePanel } from "./tune/advice.js";
import { DecidePanel } from "./tune/decide.js";
import { LivePanel } from "./tune/live.js";
import { StartPanel } from "./tune/start.js";
import { StepsPanel } from "./tune/steps.js";
import { WatchPanel } from "./tune/watch.js";

export const usesLive = true;

export async function show({ root, params, onLeave }) {
  const sections = store.get("overview").sections;
  if (!params.section) {
    const first =
      sections.find((section) => section.is_owned) ||
      sections.find((section) => section.kind === "orbit") ||
      sections[0];
    go(`/tune/${first.key}`, { replace: true });
    return;
  }
  const detail = await sectionDetail(params.section);
  store.set("viewSection", detail.key);
  wantLive([detail.key]);
  const view = new TuneView(root, detail);
  onLeave(() => view.leave());
  await view.begin();
}

class TuneView {
  constructor(root, detail) {
    this.detail = detail;
    this.key = detail.key;
    this.held = null;
    const tasks = tasksOf(this.key);
    this.conditions = new Conditions({ floor: detail.current_floor_ma });
    this.live = new LivePanel(detail);
    this.advice = new AdvicePanel(detail, (shown) => this.showAdvice(shown));
    this.start = new StartPanel(detail, tasks, {
      advise: (asked) => this.advice.ask(asked),
      choose: (task, target) => this.live.aim(task, target),
    });
    this.watch = new WatchPanel(detail);
    this.steps = new StepsPanel(detail);
    this.decide = new DecidePanel();
    this.warnings = h("div", { "data-testid": "warnings" });
    this.waiting = h("div", {});
    this.waitingCard = card("Waiting requests", this.waiting);
    this.states = {};
    this.side = h("div", { class: "column" }, this.start.element, this.waitingCard, this.watch.element);
    put(
      root,
      h("div", { class: "head" }, h("h1", {}, `Tune ${detail.title}`), h("div", { class: "end" }, this.tabs())),
      h("div", { class: "card strip" }, this.conditions.element),
      this.warnings,
      h(
        "div",
        { class: "columns tune" },
        h("div", { class: "column" }, this.decide.element, this.live.element, this.advice.element),
        h("div", { class: "column side" }, this.side, this.live.correctors),
      ),
      h("div", { class: "below" }, this.steps.element),
    );
    this.draw = () => this.paint();
    this.off = [
      store.on("live", (section) => section === this.key && this.hear()),
      store.on("overview", () => this.follow()),
      store.on("requests", () => this.drawWaiting()),
      store.on("tasks", () => this.start.setTasks(tasksOf(this.key))),
      store.on("control", () => this.drawWarnings()),
      store.on("connection", () => schedule(this.draw)),
    ];
    this.timer = setInterval(() => schedule(this.draw), 500);
  }

  tabs() {
    return tabs(
      "Sections",
      store.get("overview").sections.map((section) => ({
        href: `#/tune/${section.key}`,
        text: section.title,
        current: section.key === this.key,
        testid: `tab-${section.key}`,
        extra: (this.states[section.key] = badge(runState(section.state), { hidden: !section.is_owned })),
      })),
    );
  }

  async begin() {
    this.follow();
    this.drawWaiting();
    await this.live.begin();
    await this.watch.begin();
    this.hear();
    schedule(this.draw);
  }

  /** Keeps to the run that has the section, or had it last. */
  follow() {
    for (const section of store.get("overview").sections) {
      rebadge(this.states[section.key], runState(section.state));
      this.states[section.key].hidden = !section.is_owned;
    }
    const summary = summaryOf(this.key);
    if ((this.held?.watch.id ?? null) !== summary.run) {
      this.held?.release();
      this.held = summary.run === null ? null : watchRun(summary.run, () => schedule(this.draw));
    }
    if (summary.is_owned) this.advice.clear();
    schedule(this.draw);
  }

  hear() {
    const now = reading(this.key);
    if (now) this.live.hear(now.live);
    schedule(this.draw);
  }

  showAdvice(shown) {
    this.live.advice = shown;
    schedule(this.draw);
  }

  paint() {
    const summary = summaryOf(this.key);
    const now = reading(this.key);
    const watch = this.held?.watch.run ? this.held.watch : null;
    this.conditions.draw(now);
    this.live.draw(now, watch && summary.is_owned ? watch : null);
    this.watch.draw(watch, summary);
    this.decide.draw(watch);
    this.steps.draw(watch, summary);
    this.start.element.hidden = summary.is_owned;
    this.advice.element.hidden = summary.is_owned;
    this.arrange(summary.is_owned);
    this.start.draw(now);
    this.drawWarnings(now);
  }

  /** What is going on comes first; where nothing is, what can be begun. */
  arrange(isOwned) {
    const first = isOwned ? this.watch.element : this.start.element;
    if (this.side.firstElementChild !== first) this.side.prepend(first);
  }

  drawWarnings(now = reading(this.key)) {
    const control = store.get("control");
    const items = [];
    if (store.get("connection") === "lost")
      items.push([
        "major",
        "The stream from the service is lost.",
        "What is grey is the last that was known. It comes back by itself; a run goes on without it.",
      ]);
    if (control && !control.is_alive)
      items.push([
        "major",
        sentence(control.message),
        "Nothing is written meanwhile. Records, agents and accounts can be looked at as ever.",
      ]);
    else if (!now) items.push(["invalid", "No readings.", "The control process has not published this section yet."]);
    else if (now.isStale && store.get("connection") !== "lost")
      items.push(["invalid", "Old readings.", "The grey values are the last ones known."]);
    if (now && !now.isStale && now.live.unfit.length)
      items.push(["minor", "Nothing may be written now:", now.live.unfit.join(" ")]);
    const key = JSON.stringify(items);
    if (mark(this.warnings, "data-count", items.length).dataset.key === key) return;
    this.warnings.dataset.key = key;
    put(
      this.warnings,
      items.map(([tone, title, text]) => banner(tone, title, " ", text)),
    );
  }

  drawWaiting() {
    const mine = (store.get("requests") || []).filter((one) => one.section === this.key);
    this.waitingCard.hidden = mine.length === 0;
    put(this.waiting, mine.length ? [h("p", {}, mine[0].message), requestList(mine)] : []);
  }

  leave() {
    clearInterval(this.timer);
    unschedule(this.draw);
    for (const off of this.off) off();
    this.held?.release();
    for (const part of [this.live, this.watch]) part.dispose();
  }
}
