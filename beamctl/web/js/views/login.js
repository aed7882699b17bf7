/** Logging in. */

import { address, get, send } from "../api.js";
import { h, put } from "../dom.js";
import { busy, field, input } from "../ui/parts.js";

function frame(title, ...children) {
  return h(
    "div",
    { class: "login", "data-testid": "view-login", "data-ready": "true" },
    h(
      "div",
      { class: "card" },
      h(
        "div",
        { class: "row" },
        h("img", { src: "/web/icon.svg", alt: "", width: "40", height: "40" }),
        h("h1", { tabindex: "-1" }, title),
      ),
      children,
    ),
  );
}

/** The login page; `begin` is called with the session. */
export async function show(main, begin) {
  const ways = await get("/session/ways", {}, { quiet: true }).catch(() => ({
    password: true,
    oidc: null,
    demo: null,
  }));
  const name = input({
    autocomplete: "username",
    required: true,
    name: "name",
    "data-testid": "login-name",
    autocapitalize: "none",
    spellcheck: "false",
  });
  const password = input({
    type: "password",
    autocomplete: "current-password",
    required: true,
    name: "password",
    "data-testid": "login-password",
  });
  const fault = h("p", { class: "fault", role: "alert", "data-testid": "login-fault" });
  const enter = h("button", { class: "button main", type: "submit", "data-testid": "login-submit" }, "Log in");
  const logIn = async (body) => {
    put(fault);
    try {
      await begin(await send("POST", "/session", body, { quiet: true }));
    } catch (problem) {
      put(fault, problem.words || problem.message);
      password.focus();
    }
  };
  const form = h(
    "form",
    { class: "stack", on: { submit: busy(enter, () => logIn({ name: name.value.trim(), password: password.value })) } },
    field("Name", name),
    field("Password", password),
    fault,
    enter,
  );
  const demo =
    ways.demo &&
    h(
      "button",
      {
        class: "button",
        type: "button",
        "data-testid": "login-demo",
        on: { click: (event) => busy(event.currentTarget, () => logIn(ways.demo))() },
      },
      "Try it with the demonstration account",
    );
  const oidc =
    ways.oidc && h("a", { class: "button", href: address("/session/oidc"), "data-testid": "login-oidc" }, ways.oidc);
  put(
    main,
    frame(
      "beamctl",
      h("p", { class: "muted" }, "Tunes the beam, behind limits, verification and restore."),
      ways.password ? form : fault,
      oidc || demo ? h("div", { class: "stack others" }, oidc, demo) : null,
      ways.demo ? h("p", { class: "small muted" }, "This is a soft machine: nothing real can be moved here.") : null,
    ),
  );
  name.focus();
}

/** Somebody else has set the password: it is changed first. */
export function showPassword(main, session, begin) {
  const fault = h("p", { class: "fault", role: "alert", "data-testid": "password-fault" });
  put(
    main,
    frame(
      "Choose a new password",
      h(
        "p",
        { class: "muted" },
        `The password of ${session.name} was set by somebody else. Nothing can be done before you have changed it.`,
      ),
      passwordForm(begin, fault),
    ),
  );
}

/** Old and new password. */
export function passwordForm(done, fault) {
  const old = input({
    type: "password",
    autocomplete: "current-password",
    required: true,
    "data-testid": "password-old",
  });
  const fresh = input({
    type: "password",
    autocomplete: "new-password",
    required: true,
    minlength: "10",
    "data-testid": "password-new",
  });
  const again = input({
    type: "password",
    autocomplete: "new-password",
    required: true,
    "data-testid": "password-again",
  });
  const enter = h(
    "button",
    { class: "button main", type: "submit", "data-testid": "password-submit" },
    "Change the password",
  );
  const change = async () => {
    put(fault);
    if (fresh.value !== again.value) {
      put(fault, "The two new passwords differ.");
      return;
    }
    try {
      const session = await send("PUT", "/session/password", { old: old.value, new: fresh.value }, { quiet: true });
      old.value = fresh.value = again.value = "";
      await done(session);
    } catch (problem) {
      put(fault, problem.words || problem.message);
    }
  };
  return h(
    "form",
    { class: "stack", on: { submit: busy(enter, change) } },
    field("Present password", old),
    field("New password", fresh, "At least 10 characters. Every other session of yours ends."),
    field("New password again", again),
    fault,
    enter,
  );
}
