/** The passport of one agent. */

import { BarChart } from "../charts/bars.js";
import { getTagged, part, send } from "../api.js";
import { h, put } from "../dom.js";
import { figure, isNumber, num, when } from "../format.js";
import { may } from "../store.js";
import { onStream } from "../stream.js";
import { ask } from "../ui/dialog.js";
import { notice } from "../ui/notices.js";
import { banner, button, card, facts, field, input, table } from "../ui/parts.js";
import { enabledBadge } from "./agents.js";

const SHARES = {
  success: "Reached the goal",
  deep_success: "Reached 0.2 mm",
  worse: "Ended worse",
  eta: "Transmission",
  eta_early: "Transmission early",
};

const OTHERS = { updates: "Updates", cpu_s: "CPU time, s", steps: "Mean steps", final_rms_mm: "Final RMS, mm" };

export async function show({ root, params, onLeave, isCurrent }) {
  const view = { charts: [] };
  const clear = () => view.charts.splice(0).forEach((chart) => chart.dispose());
  onLeave(clear);
  const load = async () => {
    const { found: agent, version } = await getTagged(`/agents/${part(params.agent)}`);
    if (!isCurrent()) return;
    clear();
    put(
      root,
      content(agent, view, () => change(agent, version, load)),
    );
    await Promise.all(view.charts.map((chart) => chart.begin()));
  };
  await load();
  onLeave(onStream("record", (event) => event.kind === "agent" && load().catch(() => {})));
}

function content(agent, view, toggle) {
  const training = agent.manifest.training || {};
  const word = agent.enabled ? "Disable\u2026" : "Enable\u2026";
  return [
    h(
      "div",
      { class: "head" },
      h("h1", {}, agent.id),
      enabledBadge(agent.enabled),
      h("div", { class: "end" }, may("admin") ? button(word, toggle, { "data-testid": "switch-agent" }) : null),
    ),
    h(
      "div",
      { "data-testid": "verification" },
      banner(
        agent.is_verified ? "active" : "major",
        agent.is_verified ? "\u2713 Verified. " : "\u2715 Not verified. ",
        agent.verification,
      ),
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "column" },
        card("On the machines that chose the checkpoint", selection(agent, view)),
        card("Evaluation", evaluation(agent, view)),
        card("Training configuration", configuration(training.configuration || {})),
      ),
      h(
        "div",
        { class: "column" },
        card(
          "Passport",
          facts([
            ["Kind", agent.task_kind],
            ["Trained for", agent.machine],
            ["Machine hash", h("span", { class: "hash" }, agent.machine_hash || "any section that fits")],
            ["Policy SHA-256", h("span", { class: "hash" }, agent.policy_sha256)],
            [
              "Serves",
              agent.tasks.length
                ? agent.tasks.map((task) => h("div", {}, task, agent.default_for.includes(task) ? " (default)" : ""))
                : "no task here",
            ],
            ["Envelope", agent.has_envelope ? "yes: asked only about what it was trained for" : "none"],
            ["Preset, seed", `${agent.preset}, ${agent.seed}`],
            isNumber(training.updates) ? ["Updates", String(training.updates)] : null,
            isNumber(training.cpu_s) ? ["Trained in", `${num(training.cpu_s, 0)} s of CPU`] : null,
            training.code_revision ? ["Code", h("span", { class: "hash" }, training.code_revision)] : null,
            [
              "Last switched by",
              agent.switched_by
                ? [
                    agent.switched_by,
                    ", ",
                    when(agent.switched_at),
                    agent.switch_reason ? `: ${agent.switch_reason}` : "",
                  ]
                : "nobody",
            ],
          ]),
        ),
      ),
    ),
  ];
}

function selection(agent, view) {
  const shares = Object.entries(SHARES).filter(([name]) => isNumber(agent.selection[name]));
  const others = Object.entries(agent.selection).filter(([name, value]) => !SHARES[name] && isNumber(value));
  if (!shares.length && !others.length) return h("p", { class: "muted" }, "Nothing is written down.");
  const chart = shares.length
    ? new BarChart(
        shares.map(([, label]) => label),
        shares.map(([name]) => agent.selection[name]),
        `Selection: ${shares.map(([name, label]) => `${label} ${num(agent.selection[name], 3)}`).join(", ")}`,
      )
    : null;
  if (chart) view.charts.push(chart);
  return [
    chart?.element,
    facts(
      others.map(([name, value]) => [OTHERS[name] || figure(name).label, num(value, Number.isInteger(value) ? 0 : 3)]),
    ),
  ];
}

function evaluation(agent, view) {
  if (!agent.evaluation.length)
    return h("p", { class: "muted" }, "The manifest holds no separate evaluation. beamctl evaluate makes one.");
  const names = [...new Set(agent.evaluation.flatMap((row) => Object.keys(row)))];
  const rows = agent.evaluation.map((row) =>
    names.map((name) => (isNumber(row[name]) ? num(row[name], 3) : String(row[name] ?? "\u2013"))),
  );
  const label = names.find((name) => typeof agent.evaluation[0][name] === "string");
  if (label && isNumber(agent.evaluation[0].success)) {
    const chart = new BarChart(
      agent.evaluation.map((row) => String(row[label])),
      agent.evaluation.map((row) => row.success),
      "Evaluation: share that reached the goal",
    );
    view.charts.push(chart);
    return [chart.element, table("Evaluation", names, rows)];
  }
  return table("Evaluation", names, rows);
}

const configuration = (values) =>
  h(
    "details",
    {},
    h("summary", {}, "Every setting"),
    facts(
      Object.entries(values).map(([name, value]) => [
        name.replaceAll("_", " "),
        h("code", {}, typeof value === "string" ? value : JSON.stringify(value)),
      ]),
    ),
  );

async function change(agent, version, load) {
  const reason = input({ type: "text", maxlength: "500", "data-testid": "switch-reason" });
  const wanted = !agent.enabled;
  await ask({
    title: `${wanted ? "Enable" : "Disable"} ${agent.id}?`,
    confirm: wanted ? "Enable" : "Disable",
    narrow: true,
    testid: "confirm-switch",
    body: [
      h(
        "p",
        {},
        wanted
          ? "Runs that begin from now on may use it."
          : "Runs that begin from now on may not use it; a run that goes on is not stopped.",
      ),
      field("Reason, for the record", reason),
    ],
    act: async () => {
      try {
        await send("PUT", `/agents/${part(agent.id)}/enabled`, { enabled: wanted, reason: reason.value }, { version });
      } catch (problem) {
        if (problem.code !== "changed-meanwhile") throw problem;
        notice(`Not done, somebody has changed it meanwhile: ${problem.message}. What is shown now is new.`, {
          tone: "major",
        });
      }
      await load();
    },
  });
}
