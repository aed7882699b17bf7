/** What has to be in order before anything is written: permit, enable, beam, heartbeat, identity, age of the data. */

import { h, mark, say } from "../../dom.js";
import { amount, span } from "../../format.js";
import { badge, flag, rebadge, severity } from "../../words.js";

const ITEMS = [
  ["permit", "Permit"],
  ["enable", "Enable"],
  ["beam", "Beam"],
  ["heartbeat", "Heartbeat"],
  ["identity", "Machine"],
  ["age", "Data"],
];
const HEARTBEAT_OLD_S = 2;

export class Conditions {
  /** @param {{compact?: boolean, floor?: number|null}} [options] `floor`: beam current to tune with at least, mA */
  constructor({ compact = false, floor = null } = {}) {
    this.floor = floor;
    this.parts = {};
    const items = ITEMS.filter(([name]) => !compact || name !== "identity").map(([name, label]) => {
      const shown = badge(["\u2013", "", ""], { "data-testid": `condition-${name}` });
      const text = h("span", { class: "value" });
      this.parts[name] = { shown, text };
      return h("div", { class: "condition" }, h("dt", { class: "small muted" }, label), h("dd", {}, text, shown));
    });
    this.element = h("dl", { class: compact ? "conditions compact" : "conditions" }, items);
  }

  set(name, text, shown) {
    const part = this.parts[name];
    if (!part) return;
    say(part.text, text);
    part.text.hidden = !text;
    part.shown.hidden = !shown;
    if (shown) rebadge(part.shown, shown);
  }

  /** @param {{live: object, age: number, isStale: boolean}|null} reading */
  draw(reading) {
    mark(this.element, "data-stale", reading?.isStale ? "true" : null);
    if (!reading) {
      for (const [name] of ITEMS) this.set(name, "", ["NO DATA", "off", "\u2205"]);
      return;
    }
    const { live, age, isStale } = reading;
    this.set("permit", "", flag(live.permit, "BEAM", "NO PERMIT"));
    this.set("enable", "", flag(live.enable, "ENABLED", "NOT ENABLED"));
    const tooLow = this.floor !== null && live.current_ma !== null && live.current_ma < this.floor;
    this.set(
      "beam",
      amount(live.current_ma, "mA", 2),
      live.current_severity ? severity(live.current_severity) : tooLow ? ["LOW", "major", "\u25bc"] : null,
    );
    const beat = live.heartbeat_age_s;
    this.set(
      "heartbeat",
      beat === null ? "" : span(beat + (isStale ? age : 0)),
      beat === null ? ["SILENT", "off", "\u2205"] : beat > HEARTBEAT_OLD_S ? ["STOPPED", "major", "\u2715"] : null,
    );
    this.set("identity", live.identity || "silent", live.is_simulated ? ["SIMULATED", "active", "~"] : null);
    this.set("age", isStale ? "" : "fresh", isStale ? [`${span(age)} OLD`, "off", "\u2205"] : null);
  }
}
