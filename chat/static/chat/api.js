// @ts-check
// Calls to the HTTP API.

import { fetched } from "../shared/fetching.js";
import { address } from "../shared/site.js";
import { account } from "./store.js";

/** Its message is the server's own sentence. */
export class Failure extends Error {
  /**
   * @param {string} message
   * @param {number} [status] of the answer; undefined where the server cannot be reached
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * What went wrong, in words.
 * @param {unknown} error
 */
export const words = (error) => (error instanceof Error ? error.message : String(error));

/**
 * @param {"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {object} [body]
 * @param {Record<string, string>} headers
 * @returns {Promise<any>} what the server answers; any error is a Failure
 */
export async function call(method, path, body, headers = {}) {
  /** @type {Record<string, string>} */
  const all = { "X-Gantry-Account": account(), ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  const options = { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body) };
  /** @type {[Response, string]} */
  let given;
  try {
    given = await fetched(address(`/api${path}`), options, async (each) => [each, await each.text()]);
  } catch {
    throw new Failure("The server cannot be reached. Check the connection and try again.");
  }
  const [{ ok, status }, text] = given;
  if (status === 401) {
    location.assign(`${address("/accounts/login/")}?next=${encodeURIComponent(location.pathname)}`);
    throw new Failure("You have been signed out.", status);
  }
  const data = parsed(text);
  if (!ok) throw new Failure(data?.detail ?? `The server answered with status ${status}. Try again.`, status);
  return data;
}

/**
 * @param {string} text
 * @returns {any} null where it is not JSON
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
