/** Light or dark: as the system has it, or as somebody has chosen. */

import { store } from "./store.js";

const system = matchMedia("(prefers-color-scheme: light)");

let picked = null;

function chosen() {
  try {
    return picked || localStorage.getItem("beamctl-theme");
  } catch {
    return picked;
  }
}

function apply() {
  document.documentElement.dataset.theme = chosen() || (system.matches ? "light" : "dark");
  store.set("theme", document.documentElement.dataset.theme);
}

export function startTheme() {
  apply();
  system.addEventListener("change", apply);
}

export function switchTheme() {
  picked = store.get("theme") === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("beamctl-theme", picked);
  } catch {
    // no storage: kept until the page is left
  }
  apply();
}

/** The value of a design token. */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
