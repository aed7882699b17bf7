/** Short messages, and what screen readers are told. */

import { h, say } from "../dom.js";

const MOST = 4;
const GOES_MS = 6000;

/** Shows a message; one about a fault stays until it is dismissed. */
export function notice(text, { tone = "active", title = "" } = {}) {
  const region = document.getElementById("notices");
  const close = () => element.remove();
  const element = h(
    "div",
    { class: "notice", "data-tone": tone, "data-testid": "notice", role: tone === "major" ? "alert" : "status" },
    h("p", {}, title && h("strong", {}, title, " "), text),
    h(
      "button",
      { class: "button plain small", type: "button", "aria-label": "Dismiss", on: { click: close } },
      "\u2715",
    ),
  );
  region.append(element);
  while (region.childElementCount > MOST) region.firstElementChild.remove();
  if (tone !== "major") setTimeout(close, GOES_MS);
}

/** Says something to screen readers. */
export function announce(text, { now = false } = {}) {
  say(document.getElementById(now ? "assertive" : "polite"), text);
}
