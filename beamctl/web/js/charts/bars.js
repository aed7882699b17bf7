/** Shares between 0 and 1 as bars. */

import { h } from "../dom.js";
import { num } from "../format.js";
import { axis, common, makeChart, textSize } from "./chart.js";

export class BarChart {
  constructor(names, values, label) {
    Object.assign(this, { names, values });
    this.box = h("div", {
      class: "chart",
      role: "img",
      "aria-label": label,
      style: { height: `${names.length * 2.3 + 2}rem` },
    });
    this.element = h("figure", {}, this.box);
  }

  async begin() {
    this.made = await makeChart(this.box, (colour) => this.option(colour));
  }

  option(colour) {
    const rem = textSize();
    return {
      ...common(colour),
      tooltip: { show: false },
      grid: { left: rem * 10.5, right: rem * 4, top: rem * 0.3, bottom: rem * 1.6 },
      xAxis: axis(colour, { type: "value", min: 0, max: 1, interval: 0.25 }),
      yAxis: axis(colour, {
        type: "category",
        data: this.names,
        inverse: true,
        axisLabel: { color: colour.text, fontSize: rem * 0.88, width: rem * 9.5, overflow: "break" },
      }),
      series: [
        {
          type: "bar",
          data: this.values,
          barWidth: "55%",
          itemStyle: { color: colour.accent, borderRadius: 3 },
          label: {
            show: true,
            position: "right",
            color: colour.text,
            fontSize: rem * 0.95,
            fontWeight: "bold",
            formatter: ({ value }) => num(value, 3),
          },
        },
      ],
    };
  }

  dispose() {
    this.made?.dispose();
    this.made = null;
  }
}
