// @ts-check
// A message that the server has not acknowledged.

import { h, press } from "./dom.js";

/** @import { KeptFrame } from "../shared/types.d.ts" */

/**
 * @typedef {object} Actions
 * @property {(frame: KeptFrame) => void} again
 * @property {(frame: KeptFrame) => void} discard
 */

/**
 * @param {KeptFrame} frame
 * @param {boolean} connected
 * @param {Actions} actions
 */
export function pendingView(frame, connected, actions) {
  const state = frame.refused ? "refused" : "pending";
  return h(
    "article",
    { class: `msg user ${state}`, "data-client": frame.client_id, "aria-label": "You" },
    h("div", { class: "bubble", dir: "auto" }, frame.text),
    frame.refused ? refusal(frame, actions) : h("p", { class: "note" }, connected ? SENDING : WAITING),
  );
}

const SENDING = "Sending…";
const WAITING = "Not sent yet: it goes out when the connection is back.";

/**
 * @param {KeptFrame} frame
 * @param {Actions} actions
 */
function refusal(frame, actions) {
  return h(
    "p",
    { class: "note bad", role: "alert" },
    `Not sent: ${frame.refused}`,
    press("link-button", () => actions.again(frame), "Try again"),
    press("link-button", () => actions.discard(frame), "Take back"),
  );
}
