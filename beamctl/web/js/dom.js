/** Elements without markup: text stays text, so data can never become code. */

const SVG = "http://www.w3.org/2000/svg";
const AS_PROPERTY = new Set([
  "value",
  "checked",
  "disabled",
  "hidden",
  "open",
  "indeterminate",
  "selected",
  "max",
  "min",
]);

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (AS_PROPERTY.has(name) && name in element) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/**
 * An element.
 * @param {string} tag
 * @param {object} [props] attributes; `on`: listeners by event; `style`: properties, set one by one
 * @param {...(Node|string|number|Array)} children
 */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** The same for SVG. */
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** Replaces what is in an element. */
export function put(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Sets text only where it differs: no work for the browser, nothing said twice by screen readers. */
export function say(element, text) {
  const words = text === null || text === undefined ? "" : String(text);
  if (element.textContent !== words) element.textContent = words;
  return element;
}

/** Sets or removes an attribute only where it differs. */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  return element;
}

let count = 0;
/** A name for an element that others refer to. */
export const newId = (word) => `${word}-${(count += 1)}`;

/** Whether somebody is typing there, so that keys mean letters. */
export function isTyping(target) {
  if (!(target instanceof Element)) return false;
  const field = target.closest("input, textarea, [contenteditable]");
  return field !== null && !["checkbox", "radio", "button", "range"].includes(field.type);
}
