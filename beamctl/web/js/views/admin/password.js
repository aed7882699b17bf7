/** One's own password. */

import { h, put } from "../../dom.js";
import { store } from "../../store.js";
import { notice } from "../../ui/notices.js";
import { card } from "../../ui/parts.js";
import { passwordForm } from "../login.js";

export async function show({ root }) {
  const session = store.get("session");
  if (session.via !== "session") {
    put(
      root,
      h("p", { class: "muted" }, "You are logged in by a proxy or a key: there is no password to change here."),
    );
    return;
  }
  const fault = h("p", { class: "fault", role: "alert", "data-testid": "password-fault" });
  put(
    root,
    card(
      `Password of ${session.name}`,
      passwordForm(async () => notice("The password is changed."), fault),
    ),
  );
}
