/** Questions that are asked before something happens. */

import { h, newId, put } from "../dom.js";

/**
 * Shows a dialogue.
 * @param {{title: string, body: Array, confirm: string, tone?: string, narrow?: boolean, testid?: string,
 *   act?: () => Promise<unknown>}} options `act` is done when confirmed; what it throws is shown, and the dialogue stays
 * @returns {Promise<boolean>} whether it was confirmed and done
 */
export function ask({ title, body, confirm, tone = "main", narrow = false, testid = "dialog", act = async () => {} }) {
  const id = newId("dialog");
  const fault = h("p", { class: "fault", role: "alert", "data-testid": "dialog-fault" });
  const yes = h("button", { class: `button ${tone}`, type: "submit", "data-testid": "dialog-confirm" }, confirm);
  const no = h("button", { class: "button", type: "button", "data-testid": "dialog-cancel" }, "Cancel");
  const form = h(
    "form",
    { method: "dialog" },
    h(
      "div",
      { class: "body", tabindex: "0", role: "group", "aria-labelledby": id },
      h("h2", { id }, title),
      body,
      fault,
    ),
    h("div", { class: "foot" }, no, yes),
  );
  const dialog = h(
    "dialog",
    { class: narrow ? "dialog narrow" : "dialog", "aria-labelledby": id, "data-testid": testid },
    form,
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    let done = false;
    no.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      yes.disabled = true;
      put(fault);
      try {
        await act();
        done = true;
        dialog.close();
      } catch (problem) {
        put(fault, problem.words || problem.message);
        yes.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    dialog.showModal();
  });
}
