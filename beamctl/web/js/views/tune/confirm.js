/** The question before a run: exactly what may be written, and what ends it. */

import { request } from "../../commands.js";
import { h } from "../../dom.js";
import { figureText, isNumber, leading, many, num } from "../../format.js";
import { loadRequests, reading } from "../../model.js";
import { store } from "../../store.js";
import { ask } from "../../ui/dialog.js";
import { notice } from "../../ui/notices.js";
import { banner, check, facts, table } from "../../ui/parts.js";

/** Largest change of a knob in one step, A. */
const largestStep = (knob, percent) =>
  isNumber(percent) ? Math.min(knob.step, ((knob.hi - knob.lo) * percent) / 100) : knob.step;

function knobTable(detail, task, asked) {
  const live = reading(detail.key)?.live;
  const knobs = detail.knobs.map((knob, i) => ({ ...knob, now: live?.setpoint_a[i] }));
  const rows = knobs.map((knob) => [
    h("code", {}, knob.setpoint_pv),
    num(knob.now, 2),
    `${num(knob.lo, 1)} to ${num(knob.hi, 1)}`,
    num(largestStep(knob, asked.step_percent), 2),
    isNumber(knob.travel) ? num(knob.travel, 1) : "limits only",
  ]);
  const heads = [
    "Setpoint PV",
    { text: "Now, A", num: true },
    { text: "Limits, A", num: true },
    { text: "Largest step, A", num: true },
    { text: "Largest travel, A", num: true },
  ];
  const fewer =
    task.knobs < knobs.length
      ? h("p", { class: "small muted" }, `This task moves ${task.knobs} of these ${knobs.length}.`)
      : null;
  return [table("Setpoints that may be written", heads, rows), fewer];
}

function endings(task, asked) {
  const goal =
    task.kind === "orbit"
      ? `RMS below ${num(asked.target ?? task.target, 2)} mm`
      : `a transmission of ${num(asked.target ?? task.target, 2)}`;
  const end = asked.review ? "waits for accept or abort" : "keeps the best verified setting";
  return h(
    "ul",
    { class: "bullets" },
    h(
      "li",
      {},
      `It ends when ${goal} is reached, or after ${many(asked.max_steps ?? task.max_steps, "step")}; then it ${end}.`,
    ),
    h(
      "li",
      {},
      "It goes back to the best setting when nothing is gained any more, or when it has become clearly worse than at the start.",
    ),
    h("li", {}, "Bad readings or no beam hold it; when that lasts, everything is restored to what was found."),
    h(
      "li",
      {},
      "No permit freezes it. Somebody else writing to one of these setpoints stops it, and a person decides.",
    ),
    h("li", {}, "Abort restores, halt freezes: at any time, by anybody who is an operator."),
  );
}

/** Asks, and sends the request when confirmed. */
export async function confirmStart(detail, task, asked) {
  const control = store.get("control");
  const now = reading(detail.key);
  const wait = check("Ask for it anyway: it begins as soon as a control process runs.", {
    "data-testid": "wait-for-control",
  });
  const isDown = !control.is_alive;
  const name = leading(task.kind);
  const body = [
    isDown ? banner("major", "No control process is running.", " ", wait.element) : null,
    now && !now.isStale && now.live.unfit.length
      ? banner("minor", "As things are now it would be refused: ", now.live.unfit.join(" "))
      : null,
    facts([
      ["Section", detail.title],
      ["Machine", now ? `${now.live.identity || "silent"}${now.live.is_simulated ? ", simulated" : ""}` : "not known"],
      ["Proposes", `${asked.algorithm}${asked.agent ? `, agent ${asked.agent}` : ""}`],
      ["Now", now ? figureText(name, now.live.figures[name]) : "not known"],
      [
        "Every step",
        asked.approval ? "waits for your approval" : "is checked, written, verified, and measured by itself",
      ],
      asked.note ? ["Note", asked.note] : null,
    ]),
    asked.dry_run
      ? banner("active", "Dry run: one step is proposed. Nothing is written.")
      : [
          h("h3", {}, "What may be written"),
          knobTable(detail, task, asked),
          h("h3", {}, "What ends it"),
          endings(task, asked),
        ],
  ];
  await ask({
    title: asked.dry_run ? `Propose a step for ${detail.title}?` : `Start a run: ${task.title}?`,
    body,
    confirm: asked.dry_run ? "Propose" : "Start",
    testid: "confirm-start",
    act: async () => {
      const made = await request("/runs", { ...asked, if_control_down: wait.box.checked ? "wait" : "refuse" });
      notice(`Request ${made.id}: ${made.message}`);
      await loadRequests();
    },
  });
}
