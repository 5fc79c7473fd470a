// @ts-check
// Fetching with a time limit: on a network that swallows packets, a request would otherwise wait for minutes.

const LIMIT = 20_000; // milliseconds, for the whole answer

/**
 * Like fetch(), but what `read(response)` makes of the answer is waited for too; beyond the limit all of it fails.
 * @template T
 * @param {string} address
 * @param {RequestInit} options
 * @param {(response: Response) => Promise<T>} read
 * @returns {Promise<T>}
 */
export async function fetched(address, options, read) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), LIMIT);
  try {
    return await read(await fetch(address, { ...options, signal: controller.signal }));
  } finally {
    clearTimeout(timer);
  }
}
