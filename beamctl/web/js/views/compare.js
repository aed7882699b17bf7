/** Two runs beside each other. */

import { CourseChart } from "../charts/course.js";
import { OrbitChart } from "../charts/orbit.js";
import { get } from "../api.js";
import { h, put } from "../dom.js";
import { figureText, isBetter, isNumber, leading, num, span, when } from "../format.js";
import { sectionDetail, titleOf } from "../model.js";
import { banner, card, table } from "../ui/parts.js";
import { badge, runState } from "../words.js";

async function load(id) {
  const [run, { steps }] = await Promise.all([get(`/runs/${id}`), get(`/runs/${id}/steps`)]);
  return { run, steps };
}

export async function show({ root, params, onLeave, isCurrent }) {
  const [a, b] = await Promise.all([load(Number(params.a)), load(Number(params.b))]);
  const detail = await sectionDetail(a.run.section).catch(() => null);
  if (!isCurrent()) return;
  const name = detail ? leading(detail.kind) : Object.keys(a.steps[0]?.figures || { rms_mm: 0 })[0];
  const isSame = a.run.section === b.run.section;
  const chart = new CourseChart(name, { height: "18rem", label: `Runs ${a.run.id} and ${b.run.id} step by step` });
  const orbit =
    isSame && detail?.kind === "orbit" && a.steps.length && b.steps.length
      ? new OrbitChart(detail.channels, { label: "Last orbit of both runs" })
      : null;
  put(
    root,
    h(
      "div",
      { class: "head" },
      h("h1", {}, `Run ${a.run.id} and run ${b.run.id}`),
      h("p", {}, h("a", { href: "#/history" }, "History")),
    ),
    isSame ? null : banner("minor", "Different sections: ", "their figures do not mean the same."),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "column" },
        card("Course", chart.element),
        orbit ? card("Last orbit of both", orbit.element) : null,
      ),
      h(
        "div",
        { class: "column" },
        card("Facts", factTable(a, b, detail?.kind || "orbit", name)),
        card("Last setpoints, A", setpoints(a, b)),
      ),
    ),
  );
  onLeave(() => {
    chart.dispose();
    orbit?.dispose();
  });
  await Promise.all([chart.begin(), orbit?.begin()]);
  chart.update({
    courses: [a, b].map(({ run, steps }) => ({
      name: `Run ${run.id}`,
      values: steps.map((step) => step.figures[name] ?? null),
    })),
    target: a.run.target,
  });
  orbit?.update({
    target: a.run.target,
    overlays: [
      { name: `Run ${a.run.id}`, values: a.steps.at(-1).values, tone: "o2" },
      { name: `Run ${b.run.id}`, values: b.steps.at(-1).values, tone: "o1" },
    ],
  });
}

function factTable(a, b, kind, name) {
  const both = (label, of) => [label, of(a), of(b)];
  const value =
    (which) =>
    ({ run }) =>
      figureText(name, run[which][name]);
  const seconds = ({ run }) => (run.ended ? span((new Date(run.ended) - new Date(run.started)) / 1000) : "goes on");
  const [one, other] = [a, b].map(({ run }) => run.final[name]);
  const better =
    isNumber(one) && isNumber(other) && one !== other
      ? `Run ${isBetter(kind, one, other) ? a.run.id : b.run.id} ended better.`
      : "";
  const link = ({ run }) => h("a", { href: `#/history/${run.id}` }, `Run ${run.id}`);
  return h(
    "div",
    { class: "wrap" },
    table(
      "Facts of both runs",
      ["Fact", "First", "Second"],
      [
        both("Run", link),
        both("Section", ({ run }) => titleOf(run.section)),
        both("Task", ({ run }) => run.task),
        both("Algorithm", ({ run }) => run.algorithm),
        both("Proposed by", ({ run }) => run.agent),
        both("State", ({ run }) => badge(runState(run.state))),
        both("Outcome", ({ run }) => run.outcome || "\u2013"),
        both("At first", value("initial")),
        both("Best", value("best")),
        both("At last", value("final")),
        both("Steps", ({ run }) => String(run.step)),
        both("Took", seconds),
        both("Started", ({ run }) => when(run.started)),
        both("Asked by", ({ run }) => run.principal),
      ],
    ),
    better && h("p", {}, better),
  );
}

function setpoints(a, b) {
  const last = ({ run, steps }) => Object.fromEntries(run.knobs.map((knob, i) => [knob, steps.at(-1)?.setpoint_a[i]]));
  const [one, other] = [last(a), last(b)];
  const names = [...new Set([...a.run.knobs, ...b.run.knobs])];
  const text = (value) => num(value, 2);
  return table(
    "Last setpoints of both runs",
    [
      "Knob",
      { text: `Run ${a.run.id}`, num: true },
      { text: `Run ${b.run.id}`, num: true },
      { text: "Difference", num: true },
    ],
    names.map((name) => [
      name,
      text(one[name]),
      text(other[name]),
      isNumber(one[name]) && isNumber(other[name]) ? text(other[name] - one[name]) : "\u2013",
    ]),
  );
}
