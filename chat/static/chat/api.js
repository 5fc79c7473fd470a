// Calls to the HTTP API. Errors are Error objects whose message is the server's own sentence.

import { address } from "./site.js";

export async function call(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(address(`/api${path}`), {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The server cannot be reached. Check the connection and try again.");
  }
  if (response.status === 401) {
    location.assign(`${address("/accounts/login/")}?next=${encodeURIComponent(location.pathname)}`);
    throw new Error("You have been signed out.");
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) {
    const words = answer?.detail ?? `The server answered with status ${response.status}. Try again.`;
    throw Object.assign(new Error(words), { status: response.status });
  }
  return answer;
}
