// @ts-check
// Which changes of the backend the Models page shows in words that only the server has. No DOM here.

/** @import { Backend, ServerState } from "../shared/types.d.ts" */

/**
 * Names the state that the banner shows, as banner.key() does on the server.
 * @param {Backend} snapshot
 */
export function key({ switch: running, last, rollout, servers, ...snapshot }) {
  return [
    snapshot.state,
    snapshot.model,
    snapshot.unreachable_since ?? "",
    snapshot.worker ? "worker" : "",
    running?.id ?? "",
    running?.state === "rolling_back" ? "back" : "",
    running?.cancel_requested ? "cancelled" : "",
    last?.id ?? "",
    snapshot.findings.map((finding) => finding.id).join(","),
    snapshot.busy_with,
    ...(rollout ? [rollout.id, rollout.cancel_requested ? "cancelled" : ""] : []),
    ...(servers ?? []).map(ofServer),
  ].join("|");
}

/** @param {ServerState} server */
export function ofServer({ state, model, healthy, out_of_service_since: out, switch: running, error }) {
  const back = running?.state === "rolling_back" ? "back" : "";
  return [state, model, healthy ? "" : "failing", out ?? "", running?.id ?? "", back, error].join(" ");
}

/**
 * Names what the rows of a switch's two models say of it, as banner.step() does on the server.
 * @param {Backend} snapshot
 */
export function step({ switch: running }) {
  if (!running) return "";
  if (running.state === "queued" || running.state === "draining") return "next";
  return running.state === "unloading" ? "unloading" : "loading";
}

/**
 * Whether a page shows something that has changed.
 * @param {Backend} snapshot
 * @param {{key: string, step: string}} shown what the page shows
 * @param {string[]} models the names of its rows
 */
export function concerns(snapshot, shown, models) {
  if (shown.key !== key(snapshot)) return true;
  const { target, previous } = snapshot.switch ?? {};
  return shown.step !== step(snapshot) && models.some((name) => name === target || name === previous);
}
