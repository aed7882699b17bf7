/** Is the section wired as believed: correctors kicked a little, the response compared with the model. */

import { HeatMap } from "../charts/heat.js";
import { get, part } from "../api.js";
import { request } from "../commands.js";
import { h, put, say } from "../dom.js";
import { amount, isNumber, many, num, sentence, when } from "../format.js";
import { reading, sectionDetail, summaryOf, titleOf } from "../model.js";
import { go } from "../router.js";
import { watchRun } from "../runs.js";
import { may, store } from "../store.js";
import { onStream, wantLive } from "../stream.js";
import { ask } from "../ui/dialog.js";
import { notice } from "../ui/notices.js";
import { banner, button, card, check, empty, table, tabs } from "../ui/parts.js";
import { badge, rebadge, runState } from "../words.js";
import { Conditions } from "./shared/conditions.js";

export const usesLive = true;
const VERDICTS = {
  good: ["Good", "ok", "\u2713"],
  reversed: ["Reversed", "major", "\u2194"],
  crossed: ["Crossed", "major", "\u2715"],
  swapped: ["Swapped", "major", "\u21c4"],
  dead: ["Dead", "major", "\u2205"],
  weak: ["Weak", "minor", "\u25bd"],
  strong: ["Strong", "minor", "\u25b3"],
};

const verdict = (word) => badge(VERDICTS[word] || [word, word === "good" ? "ok" : "minor", ""]);

export async function show({ root, params, onLeave, isCurrent }) {
  const { sections } = await get("/preflight");
  if (!sections.length) {
    put(
      root,
      h("h1", {}, "Preflight"),
      empty("Nothing to check", "No section of this deployment has correctors and BPMs."),
    );
    return;
  }
  if (!params.section) {
    go(`/preflight/${sections[0].section}`, { replace: true });
    return;
  }
  const key = params.section;
  const detail = await sectionDetail(key);
  if (!isCurrent()) return;
  store.set("viewSection", key);
  wantLive([key]);
  const view = new PreflightView(root, detail, sections);
  onLeave(() => view.leave());
  await view.load();
}

class PreflightView {
  constructor(root, detail, sections) {
    this.detail = detail;
    this.key = detail.key;
    this.maps = [];
    this.held = null;
    this.result = h("div", { class: "stack", "data-testid": "preflight-result" });
    this.conditions = new Conditions({ floor: detail.current_floor_ma });
    this.state = badge(runState("idle"), { class: "badge big", "data-testid": "preflight-state" });
    this.reason = h("p", {});
    this.progress = h("progress", { class: "progress", "aria-label": "Kicks made" });
    this.steps = h("p", { class: "small muted" });
    this.running = card(
      "Preflight in progress",
      h("div", { class: "stack tight" }, this.state, this.reason, this.progress, this.steps),
    );
    this.start = may("operator")
      ? button("Start a preflight\u2026", () => this.confirm(), {
          class: "button main",
          "data-testid": "start-preflight",
        })
      : null;
    put(
      root,
      h(
        "div",
        { class: "head" },
        h("h1", {}, `Preflight ${detail.title}`),
        h(
          "div",
          { class: "end" },
          tabs(
            "Sections",
            sections.map((one) => ({
              href: `#/preflight/${one.section}`,
              text: titleOf(one.section),
              current: one.section === this.key,
              testid: `tab-${one.section}`,
            })),
          ),
          this.start,
        ),
      ),
      h("div", { class: "card strip" }, this.conditions.element),
      h("div", { class: "stack" }, this.running, this.result),
    );
    const draw = () => this.draw();
    this.off = [
      store.on("overview", () => this.follow()),
      onStream("record", (event) => ["ended", "result"].includes(event.kind) && this.load()),
    ];
    this.timer = setInterval(draw, 500);
    this.follow();
  }

  follow() {
    const summary = summaryOf(this.key);
    const run = summary.is_owned ? summary.run : null;
    if ((this.held?.watch.id ?? null) !== run) {
      this.held?.release();
      this.held = run === null ? null : watchRun(run, () => this.draw());
    }
    this.draw();
  }

  draw() {
    this.conditions.draw(reading(this.key));
    const summary = summaryOf(this.key);
    const run = this.held?.watch.run;
    if (this.start) this.start.disabled = summary.is_owned;
    this.running.hidden = !run || run.kind !== "preflight" || run.is_over;
    if (this.running.hidden) return;
    rebadge(this.state, runState(run.state));
    say(this.reason, sentence(run.hold?.reason || run.reason));
    if (run.max_steps) Object.assign(this.progress, { max: run.max_steps, value: Math.min(run.step, run.max_steps) });
    else this.progress.removeAttribute("value");
    say(
      this.steps,
      `Run ${run.id} by ${run.principal}: ${many(run.step, "step")}${run.max_steps ? ` of ${run.max_steps}` : ""}. Small kicks of all correctors, then everything is restored.`,
    );
  }

  async load() {
    const { sections } = await get("/preflight");
    const isThere = sections.some((one) => one.section === this.key && one.run !== null);
    const result = isThere ? await get(`/preflight/${part(this.key)}`) : null;
    if (result && result.run === this.shown) return;
    this.shown = result?.run;
    this.clear();
    put(
      this.result,
      result
        ? this.content(result)
        : empty(
            "No preflight yet",
            "A preflight gives the correctors small kicks, compares what the BPMs see with the model, and restores. It finds reversed, crossed, swapped, dead and weak devices before a tuning run relies on them.",
          ),
    );
    await Promise.all(this.maps.map((map) => map.begin()));
  }

  content(result) {
    const heads = [
      "Device",
      "Name",
      "Verdict",
      { text: "Confidence", num: true },
      { text: "Expected, mm/A", num: true },
      { text: "Measured, mm/A", num: true },
      { text: "Gain", num: true },
      "Note",
    ];
    const sorted = [...result.table].sort((a, b) => (a.verdict === "good") - (b.verdict === "good"));
    const rows = sorted.map((line) => [
      line.device === "bpm" ? "BPM" : line.device,
      h("strong", {}, line.name),
      verdict(line.verdict),
      `${Math.round(line.confidence * 100)} %`,
      num(line.expected_mm_per_a, 4),
      num(line.measured_mm_per_a, 4),
      num(line.gain, 2),
      line.note,
    ]);
    return [
      banner(
        result.faults ? "major" : "active",
        result.faults ? `${many(result.faults, "fault")} found. ` : "No faults. ",
        sentence(result.summary),
        h(
          "p",
          { class: "small muted" },
          "Run ",
          h("a", { href: `#/history/${result.run}` }, String(result.run)),
          ", ",
          when(result.time),
          `, BPM noise ${amount(result.noise_mm, "mm", 3)}.`,
        ),
        result.is_current
          ? null
          : h(
              "p",
              { class: "fault" },
              "The machine description has changed since: tuning runs do not rely on it. Make a new one.",
            ),
      ),
      card("Findings", table("Findings of the preflight", heads, rows, { "data-testid": "findings" })),
      card("Response", this.heat(result)),
    ];
  }

  heat({ correctors, channels, expected_mm_per_a: expected, measured_mm_per_a: measured }) {
    const difference = expected.map((row, i) =>
      row.map((value, k) => (isNumber(value) && isNumber(measured[i][k]) ? measured[i][k] - value : null)),
    );
    const top = Math.max(...[...expected, ...measured, ...difference].flat().filter(isNumber).map(Math.abs), 1e-3);
    const made = (title, matrix) => new HeatMap(title, correctors, channels, matrix, top);
    this.maps = [made("Expected", expected), made("Measured", measured), made("Measured minus expected", difference)];
    return [
      h(
        "p",
        { class: "small muted" },
        `Blue: negative, orange: positive; full colour is ${num(top, 3)} mm/A in all three.`,
      ),
      h(
        "div",
        { class: "maps" },
        this.maps.map((map) => map.element),
      ),
    ];
  }

  async confirm() {
    const wait = check("Ask for it anyway: it begins as soon as a control process runs.");
    const knobs = this.detail.knobs;
    const rows = knobs.map((knob) => [
      h("code", {}, knob.setpoint_pv),
      `${num(knob.lo, 1)} to ${num(knob.hi, 1)}`,
      num(knob.step, 2),
    ]);
    const body = [
      store.get("control").is_alive ? null : banner("major", "No control process is running.", " ", wait.element),
      h(
        "p",
        {},
        `All ${knobs.length} correctors get small kicks together, in patterns that tell them apart; the BPMs are read after each, and at the end everything is restored. Abort restores at any time.`,
      ),
      table(
        "Setpoints that will be written",
        ["Setpoint PV", { text: "Limits, A", num: true }, { text: "Largest step, A", num: true }],
        rows,
      ),
    ];
    await ask({
      title: `Start a preflight of ${this.detail.title}?`,
      body,
      confirm: "Start",
      testid: "confirm-preflight",
      act: async () => {
        const made = await request(`/preflight/${part(this.key)}`, {
          if_control_down: wait.box.checked ? "wait" : "refuse",
        });
        notice(`Request ${made.id}: ${made.message}`);
      },
    });
  }

  clear() {
    for (const map of this.maps) map.dispose();
    this.maps = [];
  }

  leave() {
    clearInterval(this.timer);
    for (const off of this.off) off();
    this.held?.release();
    this.clear();
  }
}
