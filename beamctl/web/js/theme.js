/** Light or dark: as the system has it, or as somebody has chosen. */

import { store } from "./store.js";

const system = matchMedia("(prefers-color-scheme: light)");

function chosen() {
  try {
    return localStorage.getItem("beamctl-theme");
  } catch {
    return null;
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
  const other = store.get("theme") === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("beamctl-theme", other);
  } catch {
    document.documentElement.dataset.theme = other;
  }
  apply();
}

/** The value of a design token. */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
