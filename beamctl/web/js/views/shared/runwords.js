/** Runs in words. */

import { figureText } from "../../format.js";

export const KINDS = {
  tune: "Tune",
  preflight: "Preflight",
  snapshot: "Restore a setting",
  advice: "Advice, nothing written",
};

/** The first figure of those given. */
export function firstFigure(figures) {
  for (const name of ["rms_mm", "transmission", ...Object.keys(figures)])
    if (name in figures) return figureText(name, figures[name]);
  return "\u2013";
}

/** `1.234 to 0.321 mm`. */
export const course = (run) => `${firstFigure(run.initial)} \u2192 ${firstFigure(run.is_over ? run.final : run.best)}`;
