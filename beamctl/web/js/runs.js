/** Runs that somebody looks at: loaded once, then kept up to date from the stream. */

import { get } from "./api.js";
import { calmly } from "./frame.js";
import { isBetter, isNumber, leading } from "./format.js";
import { summaryOf } from "./model.js";
import { onStream } from "./stream.js";

const VISITS = ["visited", "measured again"];
const watches = new Map();

const number = (value) => (isNumber(value) ? value : null);

/** A step from its event, as the service makes it. */
function stepOf(event) {
  const p = event.payload;
  return {
    step: p.step,
    seconds: number(p.seconds),
    figures: p.figures || {},
    values: p.values.map((value, i) => (p.valid[i] ? number(value) : null)),
    setpoint_a: p.setpoint_a,
    readback_a: p.readback_a.map(number),
    note: p.note || "",
    time: event.time,
    is_again: event.kind === "measured again",
    seq: event.seq,
  };
}

class RunWatch {
  constructor(id) {
    this.id = id;
    this.run = null;
    this.steps = [];
    this.setpoints = [];
    this.sent = {};
    this.problem = null;
    this.loadedAt = 0;
    this.users = 0;
    this.listeners = new Set();
    this.refresh = calmly(300, () => this.load(false));
    this.off = [
      onStream("record", (event) => (event.run === id || this.isOfRequest(event)) && this.hear(event)),
      onStream("resumed", () => this.load(true)),
    ];
    this.ready = this.load(true);
  }

  /** What becomes of the request of this run: with its end, a section that waits is left to people. */
  isOfRequest(event) {
    return event.run === null && Boolean(this.run?.request) && event.payload?.request === this.run.request;
  }

  hear(event) {
    if (VISITS.includes(event.kind) && event.payload) {
      if (!this.steps.some((step) => step.time === event.time)) this.steps.push(stepOf(event));
      this.tell();
    }
    this.refresh();
  }

  /** Asks the service. */
  async load(withSteps) {
    try {
      const run = await get(`/runs/${this.id}`);
      if (withSteps) this.steps = (await get(`/runs/${this.id}/steps`)).steps;
      this.setpoints = (await get(`/runs/${this.id}/setpoints`)).setpoints;
      if (this.run && this.run.version !== run.version) this.sent = {};
      this.run = run;
      this.loadedAt = performance.now();
      this.problem = null;
    } catch (problem) {
      this.problem = problem;
    }
    this.tell();
  }

  tell() {
    for (const listener of [...this.listeners]) listener(this);
  }

  get kind() {
    return (
      summaryOf(this.run?.section)?.kind ||
      (this.steps[0] && "transmission" in this.steps[0].figures ? "transmission" : "orbit")
    );
  }

  get figure() {
    return leading(this.kind);
  }

  /** The step with the best figure; null before the first. */
  get best() {
    let best = null;
    for (const step of this.steps) {
      const value = step.figures[this.figure];
      if (isNumber(value) && (best === null || isBetter(this.kind, value, best.figures[this.figure]))) best = step;
    }
    return best;
  }

  /** Until the snapshot is restored by itself, s; null where nothing happens by itself. */
  get restoresIn() {
    const left = this.run?.hold?.restore_in_s;
    return isNumber(left) ? Math.max(0, left - (performance.now() - this.loadedAt) / 1000) : null;
  }

  close() {
    this.refresh.cancel();
    for (const off of this.off) off();
  }
}

/**
 * Looks at a run.
 * @param {number} id
 * @param {(watch: RunWatch) => void} listener called at every change
 * @returns {{watch: RunWatch, release: () => void}}
 */
export function watchRun(id, listener) {
  let watch = watches.get(id);
  if (!watch) watches.set(id, (watch = new RunWatch(id)));
  watch.users += 1;
  watch.listeners.add(listener);
  const release = () => {
    if (!watch.listeners.delete(listener)) return;
    watch.users -= 1;
    if (watch.users === 0) {
      watch.close();
      watches.delete(id);
    }
  };
  return { watch, release };
}
