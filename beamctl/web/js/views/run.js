/** One run: what it was asked, what it did, and its files. */

import { address, get } from "../api.js";
import { request } from "../commands.js";
import { h, put } from "../dom.js";
import { amount, ending, many, num, short, when } from "../format.js";
import { loadRequests, sectionDetail, titleOf } from "../model.js";
import { watchRun } from "../runs.js";
import { may, store } from "../store.js";
import { ask } from "../ui/dialog.js";
import { notice } from "../ui/notices.js";
import { banner, button, card, check, facts, field, input, select, table } from "../ui/parts.js";
import { badge, rebadge, runState } from "../words.js";
import { course, KINDS } from "./shared/runwords.js";
import { Replay } from "./shared/replay.js";
import { setpointTable } from "./tune/decide.js";
import { stepTable } from "./tune/steps.js";

const NAMES = {
  max_steps: "Steps at most",
  step_percent: "Step at most, %",
  dry_run: "Dry run",
  snapshot_of: "Setting of run",
  approval: "Approve every step",
  review: "Review at the end",
};

export async function show({ root, params, onLeave, isCurrent }) {
  const id = Number(params.run);
  const run = await get(`/runs/${id}`);
  const held = watchRun(id, () => view?.changed());
  onLeave(held.release);
  let view = null;
  await held.watch.ready;
  if (!isCurrent()) return;
  const detail = await sectionDetail(run.section).catch(() => null);
  if (!isCurrent()) return;
  if (!run.is_over) store.set("viewSection", run.section);
  view = new RunView(root, held.watch, detail);
  onLeave(() => view.leave());
  await view.draw();
}

class RunView {
  constructor(root, watch, detail) {
    this.watch = watch;
    this.detail = detail;
    const { run } = watch;
    this.state = badge(runState(run.state), { class: "badge big", "data-testid": "run-state" });
    this.top = h("div", {});
    this.replayBox = h("div", { class: "column" });
    this.side = h("div", { class: "column" });
    this.below = h("div", { class: "stack below" });
    put(
      root,
      h(
        "div",
        { class: "head" },
        h("h1", {}, `Run ${run.id}`),
        this.state,
        h(
          "div",
          { class: "end" },
          this.files(run.id),
          may("operator") && run.kind !== "advice"
            ? button("Go back to this run's setting\u2026", () => this.restore(), { "data-testid": "restore-snapshot" })
            : null,
        ),
      ),
      this.top,
      h("div", { class: "columns" }, this.replayBox, this.side),
      this.below,
    );
  }

  files(id) {
    const link = (text, path, props = {}) =>
      h("a", { class: "button small", href: address(`/runs/${id}/${path}`), ...props }, text);
    return [
      link("Report", "report", { target: "_blank", rel: "noopener", "data-testid": "report" }),
      link("CSV", "samples?format=csv", { download: `run-${id}.csv`, "data-testid": "export-csv" }),
      link("Parquet", "samples?format=parquet", { download: `run-${id}.parquet`, "data-testid": "export-parquet" }),
      link("JSON", "export", { download: `run-${id}.json`, "data-testid": "export-json" }),
    ];
  }

  async draw() {
    const { run, steps, setpoints } = this.watch;
    this.version = run.version;
    this.count = steps.length;
    rebadge(this.state, runState(run.state));
    put(
      this.top,
      banner(
        run.is_over && !run.restore_owed ? "active" : "minor",
        ending(run),
        run.restore_owed
          ? h("p", { class: "fault" }, "What it has written has neither been accepted nor restored.")
          : null,
        run.is_over ? null : h("p", {}, run.hint, " ", h("a", { href: `#/tune/${run.section}` }, "Watch it")),
      ),
    );
    put(this.side, card("Facts", this.facts(run)));
    this.replay?.dispose();
    this.replay = steps.length ? new Replay(run, steps, this.detail) : null;
    put(
      this.replayBox,
      this.replay ? this.replay.element : card("Replay", h("p", { class: "muted" }, "It has measured nothing.")),
    );
    put(
      this.below,
      card(
        "Setpoints",
        setpoints.length ? setpointTable(setpoints) : h("p", { class: "muted" }, "Nothing was read before it ended."),
      ),
      steps.length ? card("Steps: change of every setpoint, A", stepTable(steps, run.knobs, this.replay.name)) : null,
      await this.puts(run.id),
    );
    await this.replay?.begin();
  }

  facts(run) {
    const choice = Object.entries(run.choice)
      .filter(([name, value]) => NAMES[name] && value !== null && value !== false && value !== "")
      .map(([name, value]) => [NAMES[name], value === true ? "yes" : String(value)]);
    const hashes = Object.entries(run.agent_hashes).map(([name, hash]) => [
      `Hash of ${name}`,
      h("span", { class: "hash", title: hash }, short(hash)),
    ]);
    return facts([
      ["Kind", KINDS[run.kind]],
      ["Section", h("a", { href: `#/tune/${run.section}` }, titleOf(run.section))],
      ["Task", run.task],
      ["Goal", run.goal || "\u2013"],
      ["Result", course(run)],
      ["Steps", String(run.step)],
      ["Proposed by", run.agent],
      ["Asked by", run.principal],
      run.note ? ["Note", run.note] : null,
      ["Started", when(run.started)],
      ["Ended", when(run.ended)],
      run.request ? ["Request", String(run.request)] : null,
      run.preflight ? ["Preflight", h("a", { href: `#/history/${run.preflight}` }, `Run ${run.preflight}`)] : null,
      ...choice,
      [
        "Machine description",
        h("span", { class: "hash", title: run.configuration_hash }, short(run.configuration_hash)),
      ],
      ...hashes,
    ]);
  }

  async puts(id) {
    const { puts } = await get(`/runs/${id}/puts`);
    const body = h("div", {});
    const heads = [
      { text: "Group", num: true },
      "PV",
      { text: "Old, A", num: true },
      { text: "New, A", num: true },
      "Outcome",
      { text: "Held, A", num: true },
      "Written",
    ];
    const shown = h(
      "details",
      {
        on: {
          toggle: () =>
            shown.open &&
            !body.firstChild &&
            put(
              body,
              table(
                "Every put",
                heads,
                puts.map((one) => [
                  String(one.group),
                  h("code", {}, one.pv),
                  num(one.old, 3),
                  num(one.new, 3),
                  one.outcome || "not known",
                  num(one.held, 3),
                  when(one.written),
                ]),
              ),
            ),
        },
      },
      h("summary", {}, `${many(puts.length, "put")}, each written down before it was sent`),
      body,
    );
    return card("Puts", shown);
  }

  changed() {
    const { run, steps } = this.watch;
    if (run && (run.version !== this.version || steps.length !== this.count))
      this.draw().catch((problem) => notice(problem.message, { tone: "major" }));
  }

  async restore() {
    const { run, setpoints } = this.watch;
    const of = select(
      [
        ["found", "what it found"],
        ["best", "its best setting"],
      ],
      { "data-testid": "snapshot-of" },
    );
    const approval = check("Approve every step", {});
    const review = check("Review at the end: accept or abort", {});
    const note = input({ type: "text", maxlength: "500" });
    const wait = check("Ask for it anyway: it begins as soon as a control process runs.");
    const best = this.watch.best?.setpoint_a;
    const rows = setpoints.map((line) => [
      h("code", {}, line.pv),
      amount(line.now, "A", 2),
      amount(line.snapshot, "A", 2),
      best ? amount(best[run.knobs.indexOf(line.name)], "A", 2) : "\u2013",
    ]);
    await ask({
      title: `Bring ${titleOf(run.section)} back to run ${run.id}?`,
      confirm: "Start",
      testid: "confirm-snapshot",
      body: [
        store.get("control").is_alive ? null : banner("major", "No control process is running.", " ", wait.element),
        h("p", {}, "A new run goes there in guarded, verified steps, and can be aborted like any other."),
        field("To", of),
        table(
          "Setpoints",
          ["Setpoint PV", { text: "Now", num: true }, { text: "Found", num: true }, { text: "Best", num: true }],
          rows,
        ),
        approval.element,
        review.element,
        field("Note for the record", note),
      ],
      act: async () => {
        const made = await request(`/runs/${run.id}/snapshot`, {
          of: of.value,
          approval: approval.box.checked,
          review: review.box.checked,
          note: note.value,
          if_control_down: wait.box.checked ? "wait" : "refuse",
        });
        notice(`Request ${made.id}: ${made.message}`);
        await loadRequests();
      },
    });
  }

  leave() {
    this.replay?.dispose();
  }
}
