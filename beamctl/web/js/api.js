/** Requests to the service. */

const ROOT = "/api/v1";

/** Why something was not done, as the service says it (RFC 9457). */
export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", title = "", detail = "", faults = [] }) {
    super(detail || title || `HTTP ${status}`);
    this.status = status;
    this.code = code;
    this.title = title;
    this.faults = faults;
  }

  /** One sentence or more for people. */
  get words() {
    const fields = this.faults.map((fault) => `${fault.where.replace(/^body\./, "")}: ${fault.message}`).join("; ");
    return [this.title, this.title === this.message ? "" : this.message, fields].filter(Boolean).join(": ");
  }
}

let whenLoggedOut = () => {};
/** Says what happens when the service does not know us any more. */
export function onLoggedOut(callback) {
  whenLoggedOut = callback;
}

async function problemOf(response) {
  try {
    return new Problem(await response.json());
  } catch {
    return new Problem({
      status: response.status,
      code: "unexpected",
      title: `The service answered ${response.status}`,
    });
  }
}

async function call(method, path, { body, version, key, signal, quiet, tagged } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Beamctl"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (version !== undefined && version !== null) headers["If-Match"] = `"${version}"`;
  if (key) headers["Idempotency-Key"] = key;
  let response;
  try {
    response = await fetch(ROOT + path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "The service does not answer",
      detail: "look whether beamctl serve runs, and the network",
    });
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.code === "not-logged-in" && !quiet) whenLoggedOut();
    if (problem.code === "must-change-password" && !quiet) whenLoggedOut();
    throw problem;
  }
  if (response.status === 204) return null;
  const found = await response.json();
  return tagged
    ? { found, version: (response.headers.get("ETag") || "").replace(/^W\//, "").replaceAll('"', "") }
    : found;
}

/** Reads one thing with the version that a change has to show. */
export const getTagged = (path) => call("GET", path, { tagged: true });

/** Reads; `query` without what is empty. */
export function get(path, query = {}, options = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== "" && value !== null && value !== undefined) words.set(name, value);
  return call("GET", words.size ? `${path}?${words}` : path, options);
}

/** Asks for a change. */
export const send = (method, path, body, options = {}) => call(method, path, { ...options, body });

/** Address of a file that the browser loads by itself. */
export const address = (path) => ROOT + path;

/** A key under which a request is the same request, however often it is sent. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Part of a path. */
export const part = encodeURIComponent;
