/** Begins: who is there, what is known, which view. */

import { get, onLoggedOut } from "./api.js";
import { h, put } from "./dom.js";
import { followModel, loadModel } from "./model.js";
import { here, route, startRouter } from "./router.js";
import { store } from "./store.js";
import { startStream, stopStream, wantLive } from "./stream.js";
import { startTheme } from "./theme.js";
import { followBar, showBar } from "./ui/bar.js";
import { followHeader, markNav, showHeader } from "./ui/header.js";

route("/machine", () => import("./views/machine.js"), "Machine");
route("/tune", () => import("./views/tune.js"), "Tune");
route("/tune/:section", () => import("./views/tune.js"), "Tune");
route("/preflight", () => import("./views/preflight.js"), "Preflight");
route("/preflight/:section", () => import("./views/preflight.js"), "Preflight");
route("/history", () => import("./views/history.js"), "History");
route("/history/:run", () => import("./views/run.js"), "Run");
route("/compare/:a/:b", () => import("./views/compare.js"), "Compare");
route("/agents", () => import("./views/agents.js"), "Agents");
route("/agents/:agent", () => import("./views/agent.js"), "Agent");
route("/admin", () => import("./views/admin.js"), "Admin");
route("/admin/:part", () => import("./views/admin.js"), "Admin");

const main = document.getElementById("main");
let leaving = [];
let shownBefore = false;
let turn = 0;

function leaveView() {
  for (const work of leaving.splice(0)) work();
  store.set("viewSection", null);
}

/** Shows the view of the present address. */
async function showView() {
  if (!store.get("session")) return;
  const mine = (turn += 1);
  leaveView();
  const found = here();
  markNav(found.path);
  const root = h("div", { "data-testid": `view-${found.path.split("/")[1]}`, "data-ready": "false" });
  put(main, root);
  const isCurrent = () => mine === turn;
  const onLeave = (work) => (isCurrent() ? leaving.push(work) : work());
  document.title = found.name ? `${found.name} \u2013 beamctl` : "beamctl";
  try {
    if (!found.load) throw new Error(`There is no view at ${found.path}.`);
    const view = await found.load();
    if (!isCurrent()) return;
    if (!view.usesLive) wantLive([]);
    await view.show({ root, params: found.params, query: found.query, onLeave, isCurrent });
    if (isCurrent()) root.dataset.ready = "true";
  } catch (problem) {
    if (isCurrent()) showFailure(root, problem);
  }
  if (isCurrent() && shownBefore) focusHeading();
  shownBefore = true;
}

function showFailure(root, problem) {
  put(
    root,
    h("h1", { tabindex: "-1" }, "This cannot be shown"),
    h("p", { class: "fault", "data-testid": "view-fault" }, problem.words || problem.message),
    h(
      "p",
      {},
      h("button", { class: "button", type: "button", on: { click: showView } }, "Try again"),
      " ",
      h("a", { href: "#/machine" }, "Machine"),
    ),
  );
}

function focusHeading() {
  scrollTo(0, 0);
  const heading = main.querySelector("h1");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

/** Whoever is not known logs in, and is back where they were. */
async function showLogin() {
  if (store.get("session") === null && main.querySelector("[data-testid=view-login]")) return;
  turn += 1;
  leaveView();
  stopStream();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  store.set("session", null);
  showHeader();
  showBar();
  const view = await import("./views/login.js");
  document.title = "Log in \u2013 beamctl";
  await view.show(main, begin);
}

/** Loads what every view needs, and listens from there on. */
async function begin(session) {
  if (session.must_change_password) {
    const view = await import("./views/login.js");
    view.showPassword(main, session, begin);
    return;
  }
  const service = await get("/service");
  store.set("service", service);
  store.set("session", session);
  await loadModel();
  showHeader(showLogin);
  showBar();
  startStream(service.last_event);
  await showView();
}

async function start() {
  startTheme();
  followModel();
  followHeader();
  followBar();
  onLoggedOut(showLogin);
  startRouter(showView);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  try {
    await begin(await get("/session", {}, { quiet: true }));
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) await showLogin();
    else showOutage(problem);
  }
}

function showOutage(problem) {
  put(
    main,
    h("h1", {}, "The service cannot be used now"),
    h("p", { class: "fault" }, problem.words || problem.message),
    h("p", {}, "Runs go on without it: the control process needs no browser and no service."),
    h("button", { class: "button main", type: "button", on: { click: () => location.reload() } }, "Try again"),
  );
}

start();
