/** Who asked for something and did not get it; for admins. */

import { get } from "../../api.js";
import { h, put } from "../../dom.js";
import { when } from "../../format.js";
import { button, empty, table } from "../../ui/parts.js";

export async function show({ root }) {
  const body = h("div", { class: "stack" });
  put(root, body);
  const load = async (before) => {
    const page = await get("/audit/refusals", { before, limit: 50 });
    put(
      body,
      page.refusals.length
        ? table(
            "Refusals, the latest first",
            ["When", "Who", "Asked for", "Why not"],
            page.refusals.map((one) => [when(one.time), one.principal, one.action, one.reason]),
          )
        : empty("No refusals", before ? "This is the end." : "Nobody was refused anything so far."),
      h(
        "div",
        { class: "row" },
        before ? button("Latest", () => load()) : null,
        page.next ? button("Older", () => load(page.next)) : null,
      ),
    );
  };
  await load();
}
