/** Everything that is written down, the latest first. */

import { get } from "../../api.js";
import { h, put } from "../../dom.js";
import { when } from "../../format.js";
import { calmly } from "../../frame.js";
import { onStream } from "../../stream.js";
import { button, empty, table } from "../../ui/parts.js";

const PAGE = 100;

export async function show({ root, onLeave }) {
  const body = h("div", { class: "stack", "data-testid": "event-log" });
  put(
    root,
    h(
      "p",
      { class: "muted" },
      "Every event is chained to the one before by a hash: nothing can be changed or taken out without being noticed.",
    ),
    body,
  );
  let isLatest = true;
  const load = async (after) => {
    const page = await get("/events/log", { after, limit: PAGE });
    const events = [...page.events].reverse();
    const first = page.events[0]?.seq ?? 0;
    put(
      body,
      events.length
        ? table("Events, the latest first", ["Number", "When", "What", "Run", "Who", "Contents"], events.map(row))
        : empty("No events", "Nothing has happened yet."),
      h(
        "div",
        { class: "row" },
        isLatest ? null : button("Latest", () => latest()),
        first > 1
          ? button("Older", () => {
              isLatest = false;
              return load(Math.max(0, first - 1 - PAGE));
            })
          : null,
      ),
    );
  };
  const latest = async () => {
    isLatest = true;
    const { end } = await get("/events/log", { limit: 1 });
    await load(Math.max(0, end - PAGE));
  };
  await latest();
  const again = calmly(1000, () => isLatest && !body.querySelector("details[open]") && latest().catch(() => {}));
  onLeave(onStream("record", again));
  onLeave(() => again.cancel());
}

function row(event) {
  const text = event.payload === null ? "for admins only" : JSON.stringify(event.payload);
  const contents =
    text.length <= 90
      ? h("code", {}, text)
      : h(
          "details",
          {},
          h("summary", { class: "small" }, h("code", {}, `${text.slice(0, 80)}\u2026`)),
          h("div", { class: "payload", tabindex: "0" }, JSON.stringify(event.payload, null, 1)),
        );
  return [
    String(event.seq),
    when(event.time),
    event.kind,
    event.run ? h("a", { href: `#/history/${event.run}` }, String(event.run)) : "",
    event.principal,
    contents,
  ];
}
