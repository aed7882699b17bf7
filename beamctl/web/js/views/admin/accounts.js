/** Accounts; for admins. */

import { get, part, send } from "../../api.js";
import { h, put } from "../../dom.js";
import { when } from "../../format.js";
import { store } from "../../store.js";
import { ask } from "../../ui/dialog.js";
import { notice } from "../../ui/notices.js";
import { busy, button, card, field, input, select, table } from "../../ui/parts.js";
import { badge } from "../../words.js";

const ROLES = [
  ["viewer", "viewer: looks"],
  ["operator", "operator: tunes"],
  ["admin", "admin: accounts, agents"],
];

export async function show({ root }) {
  const list = h("div", { "data-testid": "users" });
  const load = async () => {
    const { users } = await get("/users");
    put(
      list,
      table(
        "Accounts",
        ["Name", "Role", "State", "Logs in by", "Last login", "Made", "Change"],
        users.map((user) => row(user, load)),
      ),
    );
  };
  put(root, list, card("New account", newAccount(load)));
  await load();
}

/** Does something with what was seen; if somebody has changed it meanwhile, says so and shows that. */
async function change(work, load) {
  try {
    await work();
  } catch (problem) {
    if (problem.code !== "changed-meanwhile") throw problem;
    notice(`Not done, somebody has changed it meanwhile: ${problem.message}. What is shown now is new.`, {
      tone: "major",
    });
  }
  await load();
}

function row(user, load) {
  const patch = (body) =>
    change(() => send("PATCH", `/users/${part(user.name)}`, body, { version: user.version }), load).catch((problem) => {
      notice(problem.words, { tone: "major" });
      return load();
    });
  const role = select(
    ROLES,
    { "aria-label": `Role of ${user.name}`, on: { change: () => patch({ role: role.value }) } },
    user.role,
  );
  const state = [
    badge(user.enabled ? ["Enabled", "ok", "\u2713"] : ["Disabled", "minor", "\u2715"]),
    user.must_change_password ? h("div", { class: "small muted" }, "has to change the password") : null,
  ];
  const buttons = h(
    "div",
    { class: "row" },
    button(user.enabled ? "Disable" : "Enable", () => patch({ enabled: !user.enabled }), { class: "button small" }),
    button("New password\u2026", () => newPassword(user, load), { class: "button small" }),
    button("Remove\u2026", () => remove(user, load), { class: "button small" }),
  );
  const name =
    user.name === store.get("session").name
      ? [h("strong", {}, user.name), h("span", { class: "muted" }, " (you)")]
      : h("strong", {}, user.name);
  return [
    name,
    role,
    state,
    user.has_password ? "password" : "identity provider or proxy",
    when(user.last_login),
    when(user.created),
    buttons,
  ];
}

function newPassword(user, load) {
  const password = input({ type: "password", required: true, minlength: "10", autocomplete: "new-password" });
  return ask({
    title: `New password for ${user.name}?`,
    confirm: "Set it",
    narrow: true,
    testid: "confirm-password",
    body: [
      h("p", {}, "All sessions of the account end. It has to be changed at the next login."),
      field("New password", password, "At least 10 characters"),
    ],
    act: () =>
      change(
        () => send("PATCH", `/users/${part(user.name)}`, { password: password.value }, { version: user.version }),
        load,
      ),
  });
}

function remove(user, load) {
  return ask({
    title: `Remove ${user.name}?`,
    confirm: "Remove",
    tone: "abort",
    narrow: true,
    testid: "confirm-remove",
    body: [h("p", {}, "Sessions and keys of the account end. What it did stays in the record.")],
    act: () => change(() => send("DELETE", `/users/${part(user.name)}`, undefined, { version: user.version }), load),
  });
}

function newAccount(load) {
  const name = input({ required: true, maxlength: "100", autocomplete: "off", "data-testid": "new-user-name" });
  const role = select(ROLES, { "data-testid": "new-user-role" });
  const password = input({
    type: "password",
    minlength: "10",
    autocomplete: "new-password",
    "data-testid": "new-user-password",
  });
  const fault = h("p", { class: "fault", role: "alert" });
  const make = h(
    "button",
    { class: "button main", type: "submit", "data-testid": "new-user-make" },
    "Make the account",
  );
  return h(
    "form",
    {
      class: "stack",
      on: {
        submit: busy(make, async () => {
          put(fault);
          try {
            await send("POST", "/users", {
              name: name.value.trim(),
              role: role.value,
              ...(password.value ? { password: password.value } : {}),
            });
            name.value = password.value = "";
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
      field("Name", name),
      field("Role", role),
      field(
        "Password",
        password,
        "At least 10 characters, changed at the first login. Empty: only by identity provider or proxy.",
      ),
    ),
    fault,
    h("div", {}, make),
  );
}
