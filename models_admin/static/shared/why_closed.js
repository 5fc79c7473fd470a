// @ts-check
// Why sockets do not open although pages do. The socket's own address says it, asked for over plain HTTP.

import { address } from "./site.js";

const TRIES = 4; // handshakes in a row that failed, before it is worth a question
const PATIENCE = 5000;

/**
 * A sentence, or "" where that is not the trouble: too few tries, or the server cannot be reached at all.
 * @param {string} path
 * @param {number} tries
 * @returns {Promise<string>}
 */
export async function whyClosed(path, tries) {
  if (tries < TRIES) return "";
  try {
    const headers = { "X-Page-Origin": location.origin };
    const answer = await fetch(address(path), {
      headers,
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE),
    });
    return answer.status === 426 ? (await answer.json()).detail : "";
  } catch {
    return "";
  }
}
