/** Trained agents. */

import { get } from "../api.js";
import { h, put } from "../dom.js";
import { num, short } from "../format.js";
import { onStream } from "../stream.js";
import { empty, table } from "../ui/parts.js";
import { badge } from "../words.js";

export const enabledBadge = (isEnabled) =>
  badge(isEnabled ? ["Enabled", "ok", "\u2713"] : ["Disabled", "minor", "\u2715"], { "data-testid": "agent-enabled" });

/** What selected the checkpoint, in words. */
export function selectionWords(selection) {
  const share = selection.success;
  const result =
    "final_rms_mm" in selection
      ? `final RMS ${num(selection.final_rms_mm, 3)} mm`
      : "eta" in selection
        ? `transmission ${num(selection.eta, 3)}`
        : "";
  return [share === undefined ? "" : `${num(share * 100, 1)} % reached`, result].filter(Boolean).join(", ") || "\u2013";
}

export async function show({ root, onLeave }) {
  const list = h("div", { "data-testid": "agents" });
  put(
    root,
    h("div", { class: "head" }, h("h1", {}, "Agents")),
    h(
      "p",
      { class: "muted" },
      "Trained in simulation, exported as data, verified by hash and golden vectors before they may propose anything.",
    ),
    list,
  );
  const load = async () => {
    const { agents } = await get("/agents");
    put(
      list,
      agents.length
        ? table(
            "Agents",
            ["Agent", "State", "Serves", "Machine", "On its selection machines", "Preset, seed", "Policy"],
            agents.map((agent) => [
              h(
                "a",
                { href: `#/agents/${encodeURIComponent(agent.id)}`, "data-testid": `agent-${agent.id}` },
                agent.id,
              ),
              enabledBadge(agent.enabled),
              agent.tasks.length
                ? h(
                    "ul",
                    {},
                    agent.tasks.map((task) =>
                      h(
                        "li",
                        {},
                        task,
                        agent.default_for.includes(task) ? h("span", { class: "muted" }, " (default)") : null,
                      ),
                    ),
                  )
                : "no task here",
              agent.machine,
              selectionWords(agent.selection),
              `${agent.preset}, ${agent.seed}`,
              h("span", { class: "hash", title: agent.policy_sha256 }, short(agent.policy_sha256)),
            ]),
          )
        : empty("No agents", "None is installed. Least squares and the optimisers work without."),
    );
  };
  await load();
  onLeave(onStream("record", (event) => event.kind === "agent" && load().catch(() => {})));
}
