/** What people tell a run. */

import { newKey, send } from "./api.js";
import { calmly } from "./frame.js";
import { notice } from "./ui/notices.js";
import { DECISIONS } from "./words.js";

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
    const answer = await send("POST", `/runs/${watch.id}/${verb}`, undefined, { version });
    watch.sent[verb] = "sent";
    if (!answer.control_is_alive) notice(`${verb}: ${answer.message}`, { tone: "major" });
  } catch (problem) {
    delete watch.sent[verb];
    notice(problem.words, { tone: "major", title: problem.code === "changed-meanwhile" ? "Not sent: it has changed meanwhile. What is shown now is new." : `Not done: ${verb}` });
  }
  watch.tell();
  calmly(100, () => watch.load(false))();
}

/** Sends a request once, however often the button is pressed. */
export async function request(path, body) {
  return send("POST", path, body, { key: newKey() });
}
