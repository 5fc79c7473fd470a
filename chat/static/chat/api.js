// Calls to the HTTP API. Errors are Error objects whose message is the server's own sentence; `unreachable` says that there is none.

import { fetched } from "./fetching.js";
import { account } from "./store.js";

import { address } from "./site.js";

export async function call(method, path, body, headers = {}) {
  const all = { "X-Gantry-Account": account(), ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  const options = { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body) };
  let response, answer;
  try {
    [response, answer] = await fetched(address(`/api${path}`), options, async (given) => [given, given.status === 204 ? null : await given.text()]);
  } catch {
    throw Object.assign(new Error("The server cannot be reached. Check the connection and try again."), { unreachable: true });
  }
  if (response.status === 401) {
    location.assign(`${address("/accounts/login/")}?next=${encodeURIComponent(location.pathname)}`);
    throw new Error("You have been signed out.");
  }
  const data = parsed(answer);
  if (!response.ok) {
    const words = data?.detail ?? `The server answered with status ${response.status}. Try again.`;
    throw Object.assign(new Error(words), { status: response.status });
  }
  return data;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
