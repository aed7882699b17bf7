/** Requests that wait. */

import { send } from "../../api.js";
import { h } from "../../dom.js";
import { span } from "../../format.js";
import { loadRequests } from "../../model.js";
import { may, store } from "../../store.js";
import { notice } from "../../ui/notices.js";
import { button, table } from "../../ui/parts.js";

/** Requests that nobody has taken, with a way to take them back. */
export function requestList(requests) {
  if (!requests?.length) return h("p", { class: "muted" }, "None.");
  return table(
    "Waiting requests",
    ["Request", "Task", "By", "Since", "Change"],
    requests.map((one) => [
      String(one.id),
      one.task,
      one.principal,
      `${span((Date.now() + (store.get("offset") || 0) - new Date(one.created)) / 1000)} ago`,
      may("operator")
        ? button(
            "Cancel",
            async () => {
              await send("DELETE", `/requests/${one.id}`).catch((problem) => notice(problem.words, { tone: "major" }));
              await loadRequests();
            },
            { class: "button small", "data-testid": `cancel-request-${one.id}` },
          )
        : "",
    ]),
  );
}
