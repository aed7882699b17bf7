/** Accounts, keys, refusals, the event log. */

import { h, put } from "../dom.js";
import { go } from "../router.js";
import { may } from "../store.js";
import { tabs } from "../ui/parts.js";

const PARTS = [
  { name: "accounts", text: "Accounts", role: "admin", load: () => import("./admin/accounts.js") },
  { name: "keys", text: "API keys", role: "viewer", load: () => import("./admin/keys.js") },
  { name: "password", text: "Password", role: "viewer", load: () => import("./admin/password.js") },
  { name: "refusals", text: "Refusals", role: "admin", load: () => import("./admin/refusals.js") },
  { name: "events", text: "Event log", role: "viewer", load: () => import("./admin/events.js") },
];

export async function show(context) {
  const mine = PARTS.filter((part) => may(part.role));
  const part = mine.find((one) => one.name === context.params.part);
  if (!part) {
    go(`/admin/${mine[0].name}`, { replace: true });
    return;
  }
  const body = h("div", { class: "stack", "data-testid": `admin-${part.name}` });
  put(
    context.root,
    h(
      "div",
      { class: "head" },
      h("h1", {}, part.text),
      h(
        "div",
        { class: "end" },
        tabs(
          "Parts",
          mine.map((one) => ({
            href: `#/admin/${one.name}`,
            text: one.text,
            current: one === part,
            testid: `tab-${one.name}`,
          })),
        ),
      ),
    ),
    body,
  );
  const { show: fill } = await part.load();
  if (context.isCurrent()) await fill({ ...context, root: body });
}
