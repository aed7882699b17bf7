/** What people tell a run. */

import { newKey, send } from "./api.js";
import { calmly } from "./frame.js";
import { notice } from "./ui/notices.js";
import { DECISIONS } from "./words.js";

const INSISTING = ["abort", "halt"];
const TRIES = 40;
const PAUSE_MS = 500;

/**
 * Sends a command; what becomes of it comes from the stream.
 * @param {RunWatch} watch
 * @param {string} verb
 */
export async function command(watch, verb) {
  const version = DECISIONS.includes(verb) || verb === "accept" ? watch.run?.version : null;
  watch.sent[verb] = "sending";
  watch.tell();
  try {
    const answer = await insist(
      verb,
      () => send("POST", `/runs/${watch.id}/${verb}`, undefined, { version }),
      () => {
        watch.sent[verb] = "trying again";
        watch.tell();
      },
    );
    watch.sent[verb] = "sent";
    if (!answer.control_is_alive) notice(`${verb}: ${answer.message}`, { tone: "major" });
  } catch (problem) {
    delete watch.sent[verb];
    notice(problem.words, {
      tone: "major",
      title:
        problem.code === "changed-meanwhile"
          ? "Not sent: it has changed meanwhile. What is shown now is new."
          : `Not done: ${verb}`,
    });
  }
  watch.tell();
  calmly(100, () => watch.load(false))();
}

/** Abort and halt are tried again while the service cannot take them; whatever else is told to the person. */
async function insist(verb, work, again) {
  for (let left = INSISTING.includes(verb) ? TRIES : 1; ; left -= 1) {
    try {
      return await work();
    } catch (problem) {
      const isPassing = problem.status === 0 || problem.status === 429 || problem.status >= 500;
      if (!isPassing || left <= 1) throw problem;
      again();
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }
}

/** Sends a request once, however often the button is pressed. */
export async function request(path, body) {
  return send("POST", path, body, { key: newKey() });
}
