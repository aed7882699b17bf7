/** Runs of the past and present. */

import { get } from "../api.js";
import { h, put } from "../dom.js";
import { when } from "../format.js";
import { calmly } from "../frame.js";
import { titleOf } from "../model.js";
import { go } from "../router.js";
import { store } from "../store.js";
import { onStream } from "../stream.js";
import { button, empty, field, input, select, table } from "../ui/parts.js";
import { badge, runState, stateWord } from "../words.js";
import { course, KINDS } from "./shared/runwords.js";

const STATES = [
  "idle",
  "armed",
  "running",
  "hold",
  "review",
  "accepted",
  "restoring",
  "restored",
  "unknown",
  "conflict",
  "halted",
  "fault",
  "recovering",
];
const FILTERS = ["section", "task", "kind", "state", "principal"];
const PAGE = 30;
const FOLLOWED = new Set(["created", "state", "ended"]);

export async function show({ root, query, onLeave }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || ""]));
  const before = query.get("before") || "";
  const picked = new Set();
  const list = h("div", { "data-testid": "runs" });
  const compare = button("Compare two", () => go(`/compare/${[...picked].sort((a, b) => a - b).join("/")}`), {
    "data-testid": "compare",
    disabled: true,
  });
  const choose = (run, isOn) => {
    if (isOn) picked.add(run);
    else picked.delete(run);
    compare.disabled = picked.size !== 2;
  };
  put(
    root,
    h(
      "div",
      { class: "head" },
      h("h1", {}, "History"),
      h("div", { class: "end" }, h("span", { class: "small muted" }, "Tick two runs to compare them."), compare),
    ),
    filterForm(filters),
    list,
  );
  const load = async () => {
    const page = await get("/runs", { ...filters, before, limit: PAGE });
    put(
      list,
      page.runs.length ? runTable(page.runs, choose, picked) : nothing(filters, before),
      pager(filters, before, page.next),
    );
  };
  await load();
  const again = calmly(500, () => load().catch(() => {}));
  if (!before) onLeave(onStream("record", (event) => FOLLOWED.has(event.kind) && again()));
  onLeave(() => again.cancel());
}

function address(filters, before) {
  const words = new URLSearchParams(Object.entries({ ...filters, before }).filter(([, value]) => value));
  return words.size ? `/history?${words}` : "/history";
}

function filterForm(filters) {
  const any = ["", "any"];
  const sections = store.get("overview").sections.map((section) => [section.key, section.title]);
  const made = (name, label, element) => {
    element.addEventListener("change", () => go(address({ ...filters, [name]: element.value.trim() }, "")));
    element.dataset.testid = `filter-${name}`;
    return field(label, element);
  };
  return h(
    "form",
    { class: "filters", "aria-label": "Filters", on: { submit: (event) => event.preventDefault() } },
    made("section", "Section", select([any, ...sections], {}, filters.section)),
    made("task", "Task", select([any, ...store.get("tasks").map((task) => [task.name, task.name])], {}, filters.task)),
    made("kind", "Kind", select([any, ...Object.entries(KINDS)], {}, filters.kind)),
    made("state", "State", select([any, ...STATES.map((state) => [state, stateWord(state)])], {}, filters.state)),
    made("principal", "Who", input({ type: "text", value: filters.principal, placeholder: "anybody" })),
    Object.values(filters).some(Boolean) ? h("a", { class: "button", href: "#/history" }, "All runs") : null,
  );
}

function runTable(runs, choose, picked) {
  const heads = ["Compare", "Run", "Started", "Section", "What", "Who", "State", "Steps", "From \u2192 to", "Note"];
  return table(
    "Runs, the latest first",
    heads,
    runs.map((run) => [
      h("input", {
        type: "checkbox",
        "aria-label": `Compare run ${run.id}`,
        checked: picked.has(run.id),
        "data-testid": `pick-${run.id}`,
        on: { change: (event) => choose(run.id, event.currentTarget.checked) },
      }),
      h("a", { href: `#/history/${run.id}`, "data-testid": `run-${run.id}` }, `Run ${run.id}`),
      when(run.started),
      titleOf(run.section),
      run.kind === "tune" ? run.algorithm : KINDS[run.kind],
      run.principal,
      [
        badge(run.restore_owed && run.is_over ? ["Restore owed", "major", "!"] : runState(run.state)),
        run.outcome ? h("div", { class: "small muted" }, run.outcome) : null,
      ],
      run.max_steps ? `${run.step} of ${run.max_steps}` : String(run.step),
      h("span", { class: "nowrap" }, course(run)),
      run.note,
    ]),
  );
}

function nothing(filters, before) {
  if (before)
    return empty("No older runs", "This is the end of the record.", h("a", { href: "#/history" }, "Latest runs"));
  if (Object.values(filters).some(Boolean))
    return empty("No run fits these filters", "Take some of them away.", h("a", { href: "#/history" }, "All runs"));
  return empty(
    "No runs yet",
    "Every run, whoever starts it from here, the command line or a program, is written down here with each of its steps and setpoints.",
    h("a", { class: "button main", href: "#/tune" }, "Tune a section"),
  );
}

function pager(filters, before, next) {
  return h(
    "nav",
    { class: "row", "aria-label": "Pages" },
    before ? h("a", { class: "button", href: `#${address(filters, "")}` }, "Latest") : null,
    next ? h("a", { class: "button", href: `#${address(filters, next)}`, "data-testid": "older" }, "Older") : null,
  );
}
