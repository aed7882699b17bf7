/** Pieces that several views consist of. */

import { h, newId } from "../dom.js";

/** A titled box. */
export function card(title, ...children) {
  const id = newId("card");
  return h(
    "section",
    { class: "card", "aria-labelledby": id },
    h("div", { class: "title" }, h("h2", { id }, title)),
    children,
  );
}

/** A labelled input or select. */
export function field(label, input, hint) {
  const id = input.id || newId("field");
  input.id = id;
  const note = hint ? h("span", { class: "small muted", id: `${id}-hint` }, hint) : null;
  if (note) input.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), input, note);
}

export const input = (props) => h("input", { class: "input", ...props });

/** A choice; `options`: pairs of value and text. */
export const select = (options, props = {}, chosen) =>
  h(
    "select",
    { class: "input", ...props },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );

export function check(text, props = {}) {
  const box = h("input", { type: "checkbox", ...props });
  return { element: h("label", { class: "check" }, box, h("span", {}, text)), box };
}

export const button = (text, click, props = {}) =>
  h("button", { class: "button", type: "button", on: { click }, ...props }, text);

/**
 * A table.
 * @param {string} caption for screen readers
 * @param {Array<string|{text: string, num?: boolean}>} columns
 * @param {Array<Array>} rows cells: text or nodes
 */
export function table(caption, columns, rows, props = {}) {
  const heads = columns.map((column) => (typeof column === "string" ? { text: column } : column));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { class: "table", ...props },
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map(({ text, num }) => h("th", { scope: "col", class: num ? "num" : null }, text)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((cell, i) => h("td", { class: heads[i].num ? "num" : null }, cell)),
          ),
        ),
      ),
    ),
  );
}

/** Name and value, one below the other. */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );

export function banner(tone, title, ...children) {
  return h("div", { class: "banner", "data-tone": tone }, h("div", {}, h("strong", {}, title), children));
}

/** Instead of a table that would be empty. */
export const empty = (title, text, ...children) =>
  h("div", { class: "empty", "data-testid": "empty" }, h("h2", {}, title), h("p", {}, text), children);

/** Links beside each other, one of them the present one. */
export const tabs = (label, links) =>
  h(
    "nav",
    { class: "tabs", "aria-label": label },
    links.map(({ href, text, current, testid, extra }) =>
      h("a", { href, "aria-current": current ? "page" : null, "data-testid": testid }, text, extra),
    ),
  );

/** Runs something when a button is pressed, once at a time, and shows what goes wrong. */
export function busy(element, work) {
  return async (event) => {
    event?.preventDefault();
    if (element.disabled) return;
    element.disabled = true;
    try {
      await work(event);
    } finally {
      element.disabled = false;
    }
  };
}
