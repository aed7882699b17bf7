/** A response matrix as a map: channels down, correctors across, blue negative, orange positive. */

import { h } from "../dom.js";
import { isNumber, num } from "../format.js";
import { common, makeChart, textSize } from "./chart.js";

export class HeatMap {
  constructor(title, correctors, channels, matrix, top) {
    Object.assign(this, { title, correctors, channels, matrix, top });
    this.box = h("div", {
      class: "chart",
      role: "img",
      "aria-label": `${title}: response of ${channels.length} channels to ${correctors.length} correctors, largest ${num(top, 3)} mm/A`,
      style: { height: `${Math.max(14, channels.length * 1.15 + 6)}rem` },
    });
    this.element = h("figure", {}, h("figcaption", { class: "small" }, h("strong", {}, title), " mm/A"), this.box);
  }

  async begin() {
    this.made = await makeChart(this.box, (colour) => this.option(colour));
  }

  option(colour) {
    const rem = textSize();
    const label = { color: colour.muted, fontSize: rem * 0.72, interval: 0 };
    const data = this.matrix.flatMap((row, i) => row.map((value, k) => [k, i, isNumber(value) ? value : "-"]));
    const shared = common(colour);
    shared.tooltip.trigger = "item";
    shared.tooltip.formatter = ({ value }) =>
      `${this.correctors[value[0]]} on ${this.channels[value[1]]}\n${num(value[2], 4)} mm/A`;
    return {
      ...shared,
      grid: { left: rem * 5.6, right: rem * 0.6, top: rem * 0.4, bottom: rem * 4.6 },
      xAxis: {
        type: "category",
        data: this.correctors,
        axisLabel: { ...label, rotate: 60 },
        axisTick: { show: false },
        axisLine: { lineStyle: { color: colour.edge } },
      },
      yAxis: {
        type: "category",
        data: this.channels,
        inverse: true,
        axisLabel: label,
        axisTick: { show: false },
        axisLine: { lineStyle: { color: colour.edge } },
      },
      visualMap: {
        show: false,
        min: -this.top,
        max: this.top,
        inRange: { color: [colour.heat_lo, colour.heat_mid, colour.heat_hi] },
      },
      series: [
        {
          type: "heatmap",
          data,
          itemStyle: { borderColor: colour.surface, borderWidth: 1 },
          emphasis: { itemStyle: { borderColor: colour.text, borderWidth: 2 } },
        },
      ],
    };
  }

  dispose() {
    this.made?.dispose();
    this.made = null;
  }
}
