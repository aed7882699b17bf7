/** A chart that is made once and changed afterwards; the library is loaded when the first one is wanted. */

import { store } from "../store.js";
import { token } from "../theme.js";

let library = null;
/** Apache ECharts. */
export function charts() {
  library = library || import("../../vendor/echarts/echarts.esm.min.js");
  return library;
}

/** The size of ordinary text, px. */
export const textSize = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Colours of the present theme. */
export function colours() {
  const names = [
    "text",
    "muted",
    "line",
    "edge",
    "surface",
    "raised",
    "accent",
    "ok",
    "major",
    "invalid",
    "plane-x",
    "plane-y",
    "found",
    "best",
    "o1",
    "o2",
    "o3",
    "o4",
    "band",
    "heat-lo",
    "heat-mid",
    "heat-hi",
  ];
  return Object.fromEntries(names.map((name) => [name.replace("-", "_"), token(name)]));
}

/** What every chart has in common. */
export function common(colour) {
  const size = textSize() * 0.85;
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: size, color: colour.text },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: colour.raised,
      borderColor: colour.edge,
      textStyle: { color: colour.text, fontSize: size },
      axisPointer: { lineStyle: { color: colour.edge } },
    },
  };
}

/** An axis in the colours of the theme. */
export function axis(colour, more) {
  const size = textSize() * 0.82;
  return {
    axisLine: { lineStyle: { color: colour.edge } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: colour.line, width: 1 } },
    axisLabel: { color: colour.muted, fontSize: size, hideOverlap: true },
    nameTextStyle: { color: colour.muted, fontSize: size },
    ...more,
  };
}

/**
 * Makes a chart.
 * @param {HTMLElement} element with a height
 * @param {(colour: object) => object} build the whole option; called again when theme or size of text change
 * @returns {Promise<{set: Function, chart: object, rebuild: Function, dispose: Function}>}
 */
export async function makeChart(element, build) {
  const { init } = await charts();
  const chart = init(element, null, { renderer: "canvas" });
  let disposed = false;
  const rebuild = () => !disposed && chart.setOption(build(colours()), { notMerge: true });
  rebuild();
  let asked = false;
  const sized = new ResizeObserver(() => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      if (!disposed && element.clientWidth > 0) chart.resize();
    });
  });
  sized.observe(element);
  const off = store.on("theme", rebuild);
  return {
    chart,
    rebuild,
    set: (option, how = {}) => !disposed && chart.setOption(option, { lazyUpdate: true, ...how }),
    dispose() {
      disposed = true;
      off();
      sized.disconnect();
      chart.dispose();
    },
  };
}
