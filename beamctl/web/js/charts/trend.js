/** Figures against time, the newest at the right; a ring of bounded length. */

import { h } from "../dom.js";
import { figure, num } from "../format.js";
import { schedule, unschedule } from "../frame.js";
import { axis, common, makeChart, textSize } from "./chart.js";

const SPAN_S = 120;
const MOST = 700;
const GAP_MS = 2000;

export class TrendChart {
  /** @param {string[]} names of figures; the first one has its axis at the left */
  constructor(names, { height = "11rem", label = "Trend of the last two minutes", target = null } = {}) {
    this.names = names;
    this.target = target;
    this.times = [];
    this.values = names.map(() => []);
    this.box = h("div", { class: "chart", role: "img", "aria-label": label, style: { height } });
    this.element = h("figure", {}, this.box);
    this.draw = () => this.paint();
  }

  async begin() {
    this.made = await makeChart(this.box, (colour) => this.option(colour));
  }

  /** One more reading; at most five a second are kept. */
  add(time, figures) {
    const last = this.times.at(-1) || 0;
    if (time - last < 190) return;
    if (last && time - last > GAP_MS) this.push(last + 1, {});
    this.push(time, figures);
    const old = this.times.findIndex((one) => one >= time - SPAN_S * 1000);
    const drop = Math.max(old, this.times.length - MOST);
    if (drop > 30) {
      this.times.splice(0, drop);
      for (const list of this.values) list.splice(0, drop);
    }
    if (this.made) schedule(this.draw);
  }

  push(time, figures) {
    this.times.push(time);
    this.names.forEach((name, i) => this.values[i].push(figures[name] ?? null));
  }

  setTarget(target) {
    if (target === this.target) return;
    this.target = target;
    this.made?.rebuild();
  }

  paint() {
    if (!this.made || !this.times.length) return;
    const now = this.times.at(-1);
    this.made.set({
      xAxis: { min: now - SPAN_S * 1000, max: now },
      series: this.names.map((name, i) => ({ id: name, data: this.data(i) })),
    });
  }

  data(i) {
    return this.times.map((time, k) => [time, this.values[i][k]]);
  }

  option(colour) {
    const rem = textSize();
    const tones = [colour.accent, colour.plane_y, colour.o2, colour.o1];
    const now = this.times.at(-1) || Date.now();
    const units = [...new Set(this.names.map((name) => figure(name).unit))];
    const ago = ({ value }) => `${num(Math.round((value - (this.times.at(-1) || now)) / 1000), 0)} s`;
    const yAxis = units.map((unit, k) =>
      axis(colour, {
        type: "value",
        min: 0,
        max: unit ? undefined : 1,
        interval: unit ? undefined : 0.25,
        position: k ? "right" : "left",
        name: unit
          ? this.names
              .filter((name) => figure(name).unit === unit)
              .map((name) => figure(name).label)
              .join(", ") + ` (${unit})`
          : "Transmission",
        nameLocation: "middle",
        nameGap: rem * 2.4,
        splitLine: { show: k === 0, lineStyle: { color: colour.line } },
        splitNumber: this.names.length > 1 ? 4 : 2,
        axisLabel: { color: colour.muted, fontSize: rem * 0.8, formatter: (value) => num(value, unit ? 1 : 2) },
      }),
    );
    const shared = common(colour);
    shared.tooltip.formatter = (items) =>
      [ago({ value: items[0].value[0] }), ...items.map((item) => `${item.seriesName}  ${num(item.value[1], 3)}`)].join(
        "\n",
      );
    return {
      ...shared,
      legend: {
        show: this.names.length > 1,
        top: 0,
        textStyle: { color: colour.muted, fontSize: rem * 0.85 },
        icon: "roundRect",
        itemHeight: 4,
      },
      grid: {
        left: rem * 3.8,
        right: units.length > 1 ? rem * 3.8 : rem,
        top: rem * (this.names.length > 1 ? 2 : 0.7),
        bottom: rem * 1.6,
      },
      xAxis: axis(colour, {
        type: "value",
        min: now - SPAN_S * 1000,
        max: now,
        splitLine: { show: false },
        interval: 30000,
        axisLabel: {
          color: colour.muted,
          fontSize: rem * 0.8,
          formatter: (value) => ago({ value }),
          alignMinLabel: "left",
          alignMaxLabel: "right",
        },
      }),
      yAxis,
      series: this.names.map((name, i) => ({
        id: name,
        name: figure(name).label,
        type: "line",
        showSymbol: false,
        yAxisIndex: units.indexOf(figure(name).unit),
        lineStyle: { width: 2.5, color: tones[i], type: i === 2 ? "dashed" : "solid" },
        itemStyle: { color: tones[i] },
        data: this.data(i),
        markLine: i === 0 && this.target !== null ? goal(this.target, colour, rem) : undefined,
      })),
    };
  }

  dispose() {
    unschedule(this.draw);
    this.made?.dispose();
    this.made = null;
  }
}

/** A line where the goal is. */
export const goal = (value, colour, rem) => ({
  silent: true,
  symbol: "none",
  lineStyle: { color: colour.ok, type: "dashed", width: 2 },
  label: { formatter: `target ${num(value, 2)}`, position: "insideStartTop", color: colour.ok, fontSize: rem * 0.8 },
  data: [{ yAxis: value }],
});
