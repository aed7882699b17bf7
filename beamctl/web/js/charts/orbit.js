/** The orbit: x and y over the BPMs, with reference, tolerance, noise, and what is compared with it. */

import { h, mark, put } from "../dom.js";
import { isNumber, num } from "../format.js";
import { schedule, unschedule } from "../frame.js";
import { axis, common, makeChart, textSize } from "./chart.js";
import { CalmRange, largest } from "./scale.js";

const PLANES = ["x", "y"];
const TONES = { found: "found", best: "best", now: "accent", o1: "o1", o2: "o2", o3: "o3", o4: "o4" };
const DASH = { found: "dotted", best: "dashed", o1: "dashed", o2: "dashed", o3: "dotted", o4: [8, 3, 2, 3] };

/** Positions and names of the BPMs of one plane. */
function planeOf(channels, plane) {
  const found = channels.map((channel, i) => ({ ...channel, i })).filter((channel) => channel.plane === plane);
  const placed = found.every((channel) => isNumber(channel.s_m));
  const at = found.map((channel, k) => (placed ? channel.s_m : k + 1));
  return {
    index: found.map((channel) => channel.i),
    names: found.map((channel) => channel.device),
    at,
    placed,
    reference: found.map((channel) => channel.reference ?? 0),
  };
}

function errorBar(params, api) {
  const [x, lo] = api.coord([api.value(0), api.value(1)]);
  const [, hi] = api.coord([api.value(0), api.value(2)]);
  const w = textSize() * 0.25;
  const style = { stroke: api.visual("color"), lineWidth: 2 };
  const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
  return { type: "group", children: [line(x, lo, x, hi), line(x - w, lo, x + w, lo), line(x - w, hi, x + w, hi)] };
}

export class OrbitChart {
  /**
   * @param {Array} channels of the section
   * @param {{height?: string, label?: string}} [options]
   */
  constructor(channels, { height = "21rem", label = "Orbit: BPM readings in x and y along the section" } = {}) {
    this.planes = Object.fromEntries(PLANES.map((plane) => [plane, planeOf(channels, plane)]));
    this.box = h("div", { class: "chart", role: "img", "aria-label": label, style: { height } });
    this.legend = h("ul", { class: "legend" });
    this.element = h("figure", {}, this.box, this.legend);
    this.range = new CalmRange();
    this.now = null;
    this.overlays = [];
    this.target = null;
    this.shape = "";
    this.draw = () => this.paint();
  }

  /** Loads the library and draws. */
  async begin() {
    this.made = await makeChart(this.box, (colour) => this.option(colour));
    this.showLegend();
    schedule(this.draw);
  }

  /**
   * What is shown; drawn with the next frame.
   * @param {{now?: {values, noise, valid}|null, overlays?: Array<{name, values, tone}>, target?: number|null}} what
   */
  update(what) {
    Object.assign(this, what);
    if (this.made) schedule(this.draw);
  }

  paint() {
    if (!this.made) return;
    const shape = `${this.overlays.map((one) => one.name + one.tone).join("|")} ${this.target} ${this.now === null}`;
    if (shape !== this.shape) {
      this.shape = shape;
      this.made.rebuild();
      this.showLegend();
      return;
    }
    const top = this.top();
    if (top !== this.drawnTop) {
      this.made.rebuild();
      return;
    }
    this.made.set({ series: PLANES.flatMap((plane, k) => this.lines(plane, k).map(({ id, data }) => ({ id, data }))) });
  }

  top() {
    const noise = (this.now?.values || []).map((value, i) =>
      this.now.valid[i] && isNumber(value) ? Math.abs(value) + (this.now.noise[i] || 0) : null,
    );
    return this.range.fit(
      Math.max(largest(noise, ...this.overlays.map((one) => one.values)), (this.target || 0) * 1.6, 0.1),
    );
  }

  lines(plane, k, colour = {}) {
    const { index, at, reference } = this.planes[plane];
    const base = { xAxisIndex: k, yAxisIndex: k };
    const pick = (values) => index.map((i, n) => [at[n], isNumber(values?.[i]) ? values[i] : null]);
    const tone = colour[`plane_${plane}`];
    const made = [
      {
        ...base,
        id: `${plane}-ref`,
        name: "reference",
        type: "line",
        symbol: "none",
        lineStyle: { color: colour.muted, width: 1.5 },
        itemStyle: { color: colour.muted },
        data: at.map((x, n) => [x, reference[n]]),
        markArea: this.band(colour),
        tooltip: { show: false },
      },
    ];
    this.overlays.forEach((one, n) =>
      made.push({
        ...base,
        id: `${plane}-over-${n}`,
        name: one.name,
        type: "line",
        symbol: "circle",
        symbolSize: textSize() * 0.35,
        connectNulls: true,
        lineStyle: { color: colour[TONES[one.tone]], width: 2, type: DASH[one.tone] || "solid" },
        itemStyle: { color: colour[TONES[one.tone]] },
        data: pick(one.values),
      }),
    );
    if (this.now) {
      const { values, noise, valid } = this.now;
      const good = values.map((value, i) => (valid[i] ? value : null));
      made.push({
        ...base,
        id: `${plane}-noise`,
        type: "custom",
        renderItem: errorBar,
        itemStyle: { color: tone },
        silent: true,
        tooltip: { show: false },
        encode: { x: 0, y: [1, 2] },
        data: index
          .map((i, n) =>
            isNumber(good[i]) ? [at[n], good[i] - (noise[i] || 0), good[i] + (noise[i] || 0)] : [at[n], null, null],
          )
          .filter((one) => one[1] !== null),
      });
      made.push({
        ...base,
        id: `${plane}-now`,
        name: "now",
        type: "line",
        symbol: plane === "x" ? "circle" : "diamond",
        symbolSize: textSize() * (plane === "x" ? 0.65 : 0.8),
        lineStyle: { color: tone, width: 3 },
        itemStyle: { color: tone },
        data: pick(good),
      });
      made.push({
        ...base,
        id: `${plane}-bad`,
        name: "invalid",
        type: "scatter",
        symbol: "path://M0,1 L1,0 L4,3 L7,0 L8,1 L5,4 L8,7 L7,8 L4,5 L1,8 L0,7 L3,4 Z",
        symbolSize: textSize() * 0.9,
        itemStyle: { color: colour.invalid },
        label: {
          show: true,
          formatter: "invalid",
          position: "top",
          color: colour.invalid,
          fontSize: textSize() * 0.75,
        },
        tooltip: { show: false },
        data: index.map((i, n) => [at[n], valid[i] ? null : reference[n]]).filter((one) => one[1] !== null),
      });
    }
    return made;
  }

  band(colour) {
    if (!isNumber(this.target)) return undefined;
    return {
      silent: true,
      itemStyle: { color: colour.band },
      data: [[{ yAxis: -this.target }, { yAxis: this.target }]],
    };
  }

  option(colour) {
    const rem = textSize();
    const top = (this.drawnTop = this.top());
    const digits = [0, 1, 2].find((one) => Number.isInteger(Number(((top / 2) * 10 ** one).toFixed(6)))) ?? 3;
    const grid = { left: rem * 4.2, right: rem * 1.2 };
    const names = (plane) => (value) =>
      this.planes[plane].names[this.planes[plane].at.findIndex((x) => Math.abs(x - value) < 1e-6)] || "";
    const xAxis = PLANES.map((plane, k) => {
      const { at, placed } = this.planes[plane];
      const room = placed ? (at.at(-1) - at[0]) * 0.06 || 0.5 : 0.5;
      return axis(colour, {
        gridIndex: k,
        type: "value",
        min: at[0] - room,
        max: at.at(-1) + room,
        splitLine: { show: false },
        axisLabel: {
          color: colour.muted,
          fontSize: rem * 0.8,
          customValues: at,
          formatter: names(plane),
          show: k === 1,
          hideOverlap: true,
        },
        axisTick: { show: true, customValues: at },
        axisPointer: { label: { formatter: ({ value }) => names(plane)(value) } },
      });
    });
    const yAxis = PLANES.map((plane, k) =>
      axis(colour, {
        gridIndex: k,
        type: "value",
        min: -top,
        max: top,
        name: `${plane} (mm)`,
        nameLocation: "middle",
        nameGap: rem * 2.8,
        interval: top / 2,
        axisLabel: {
          color: colour.muted,
          fontSize: rem * 0.82,
          formatter: (value) => num(value, digits),
          showMinLabel: true,
          showMaxLabel: true,
        },
      }),
    );
    const shared = common(colour);
    shared.tooltip.formatter = (items) => tooltip(items, names(items[0]?.axisIndex === 1 ? "y" : "x"));
    return {
      ...shared,
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      grid: [
        { ...grid, top: rem * 0.8, height: "40%" },
        { ...grid, bottom: rem * 1.8, height: "40%" },
      ],
      xAxis,
      yAxis,
      series: PLANES.flatMap((plane, k) => this.lines(plane, k, colour)),
    };
  }

  showLegend() {
    const item = (name, tone, kind = "") =>
      h(
        "li",
        {},
        h("span", { class: `swatch ${kind}`, style: { color: `var(--${tone})` }, "aria-hidden": "true" }),
        name,
      );
    put(
      this.legend,
      this.now && [item("x now", "plane-x"), item("y now", "plane-y")],
      isNumber(this.target) && item(`within ${num(this.target, 2)} mm`, "ok", "fill"),
      this.overlays.map((one) => item(one.name, TONES[one.tone], "dash")),
      this.now?.noise.some((value) => value > 0) && h("li", {}, "bars: noise (rms)"),
    );
  }

  /** Grey where it is old. */
  stale(isStale) {
    mark(this.element, "class", isStale ? "stale" : null);
  }

  dispose() {
    unschedule(this.draw);
    this.made?.dispose();
    this.made = null;
  }
}

function tooltip(items, name) {
  const lines = items
    .filter((item) => item.seriesType === "line" && item.seriesName !== "reference")
    .map((item) => `${item.seriesName}  ${num(item.value[1], 3)} mm`);
  return items.length ? [name(items[0].value[0]), ...lines].join("\n") : "";
}
