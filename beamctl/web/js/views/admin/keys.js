/** API keys for programs. */

import { get, send } from "../../api.js";
import { h, put } from "../../dom.js";
import { when } from "../../format.js";
import { may } from "../../store.js";
import { ask } from "../../ui/dialog.js";
import { announce } from "../../ui/notices.js";
import { busy, button, card, empty, field, input, select, table } from "../../ui/parts.js";
import { badge } from "../../words.js";

export async function show({ root }) {
  const list = h("div", { "data-testid": "keys" });
  const secret = h("div", { "data-testid": "key-secret" });
  const load = async () => {
    const { keys } = await get("/keys");
    put(
      list,
      keys.length
        ? table(
            "API keys",
            ["Label", "Owner", "Role", "Begins with", "State", "Last used", "Expires", "Change"],
            keys.map((key) => row(key, load)),
          )
        : empty(
            "No API keys",
            "A program logs in with a key: Authorization: Bearer KEY. It can do what its role allows, and is revoked here.",
          ),
    );
  };
  put(root, list, secret, card("New key", newKey(secret, load)));
  await load();
}

function row(key, load) {
  const isOld = new Date(key.expires) < new Date();
  const state = key.revoked ? ["Revoked", "", "\u2715"] : isOld ? ["Expired", "", "\u2715"] : ["Valid", "ok", "\u2713"];
  const revoke = () =>
    ask({
      title: `Revoke the key ${key.label}?`,
      confirm: "Revoke",
      tone: "abort",
      narrow: true,
      testid: "confirm-revoke",
      body: [h("p", {}, "Programs that use it are refused from now on. This cannot be undone.")],
      act: async () => {
        await send("DELETE", `/keys/${key.id}`);
        await load();
      },
    });
  return [
    h("strong", {}, key.label),
    key.owner,
    key.scope,
    h("code", {}, `${key.prefix}\u2026`),
    badge(state),
    when(key.last_used),
    when(key.expires),
    key.revoked || isOld
      ? ""
      : button("Revoke\u2026", revoke, { class: "button small", "data-testid": `revoke-${key.id}` }),
  ];
}

function newKey(secret, load) {
  const label = input({ required: true, maxlength: "100", "data-testid": "new-key-label" });
  const scope = select(
    ["viewer", "operator", "admin"].filter(may).map((role) => [role, role]),
    { "data-testid": "new-key-scope" },
  );
  const days = input({
    type: "number",
    min: "1",
    max: "3650",
    value: "90",
    required: true,
    "data-testid": "new-key-days",
  });
  const fault = h("p", { class: "fault", role: "alert" });
  const make = h("button", { class: "button main", type: "submit", "data-testid": "new-key-make" }, "Make the key");
  return h(
    "form",
    {
      class: "stack",
      on: {
        submit: busy(make, async () => {
          put(fault);
          try {
            const key = await send("POST", "/keys", {
              label: label.value,
              scope: scope.value,
              days: Number(days.value),
            });
            showSecret(secret, key);
            label.value = "";
            await load();
          } catch (problem) {
            put(fault, problem.words);
          }
        }),
      },
    },
    h(
      "div",
      { class: "fields" },
      field("What it is for", label),
      field("Role", scope, "At most your own"),
      field("Days", days),
    ),
    fault,
    h("div", {}, make),
  );
}

function showSecret(place, key) {
  const copied = h("span", { class: "muted" });
  const copy = button("Copy", async () => {
    await navigator.clipboard?.writeText(key.secret);
    put(copied, "Copied.");
  });
  put(
    place,
    card(
      `Key ${key.label}: copy it now, it is shown this once`,
      h("p", { class: "secret", "data-testid": "secret" }, key.secret),
      h(
        "div",
        { class: "row" },
        copy,
        button("I have it", () => put(place)),
        copied,
      ),
    ),
  );
  announce("The key is shown once, copy it now.");
}
