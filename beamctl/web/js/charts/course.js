/** The figure of one or more runs against their steps. */

import { h } from "../dom.js";
import { figure, isNumber, num } from "../format.js";
import { schedule, unschedule } from "../frame.js";
import { axis, common, makeChart, textSize } from "./chart.js";
import { goal } from "./trend.js";

export class CourseChart {
  /** @param {string} name of the figure */
  constructor(name, { height = "12rem", label } = {}) {
    this.name = name;
    this.courses = [];
    this.target = null;
    this.at = null;
    this.box = h("div", {
      class: "chart",
      role: "img",
      "aria-label": label || `${figure(name).label} at every step`,
      style: { height },
    });
    this.element = h("figure", {}, this.box);
    this.draw = () => this.made?.rebuild();
  }

  async begin() {
    this.made = await makeChart(this.box, (colour) => this.option(colour));
  }

  /**
   * @param {{courses?: Array<{name: string, values: Array<number|null>}>, target?: number|null, at?: number|null, max?: number}} what
   *   `at`: index of the step that is looked at
   */
  update(what) {
    const key = JSON.stringify(what);
    if (key === this.key) return;
    this.key = key;
    Object.assign(this, what);
    if (this.made) schedule(this.draw);
  }

  option(colour) {
    const rem = textSize();
    const { label, unit } = figure(this.name);
    const tones = [colour.accent, colour.plane_y, colour.o1];
    const length = Math.max(1, this.max || 0, ...this.courses.map((one) => one.values.length - 1));
    const isShare = this.name === "transmission";
    const shared = common(colour);
    shared.tooltip.formatter = (items) =>
      [
        `reading ${items[0].value[0]}`,
        ...items.map((item) => `${item.seriesName}  ${num(item.value[1], 3)} ${unit}`),
      ].join("\n");
    return {
      ...shared,
      legend: { show: this.courses.length > 1, top: 0, textStyle: { color: colour.muted, fontSize: rem * 0.85 } },
      grid: { left: rem * 4.2, right: rem, top: rem * (this.courses.length > 1 ? 2 : 0.8), bottom: rem * 2.9 },
      xAxis: axis(colour, {
        type: "value",
        min: 0,
        max: length,
        minInterval: 1,
        name: "reading",
        nameLocation: "middle",
        nameGap: rem * 1.7,
        splitLine: { show: false },
      }),
      yAxis: axis(colour, {
        type: "value",
        min: 0,
        max: isShare ? 1 : undefined,
        interval: isShare ? 0.25 : undefined,
        name: unit ? `${label} (${unit})` : label,
        nameLocation: "middle",
        nameGap: rem * 2.9,
        splitNumber: 4,
        axisLabel: { color: colour.muted, fontSize: rem * 0.8, formatter: (value) => num(value, isShare ? 2 : 1) },
      }),
      series: this.courses.map((one, i) => ({
        id: `course-${i}`,
        name: one.name,
        type: "line",
        symbol: i ? "diamond" : "circle",
        symbolSize: rem * 0.5,
        lineStyle: { width: 2.5, color: tones[i], type: i ? "dashed" : "solid" },
        itemStyle: { color: tones[i] },
        data: one.values.map((value, k) => [k, isNumber(value) ? value : null]),
        markLine: i === 0 && isNumber(this.target) ? goal(this.target, colour, rem) : undefined,
        markPoint:
          i === 0 && isNumber(this.at) && isNumber(one.values[this.at])
            ? {
                symbol: "circle",
                symbolSize: rem,
                label: { show: false },
                itemStyle: { color: "transparent", borderColor: colour.text, borderWidth: 3 },
                data: [{ coord: [this.at, one.values[this.at]] }],
              }
            : undefined,
      })),
    };
  }

  dispose() {
    unschedule(this.draw);
    this.made?.dispose();
    this.made = null;
  }
}
