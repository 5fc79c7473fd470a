// @ts-check
// The Models page's socket, and how it stands in words.

import { Socket } from "../shared/socket.js";

/** @import { SocketEvent } from "../shared/types.d.ts" */

/** @param {Date} moment */
const clock = (moment) => moment.toLocaleTimeString("en-GB");

/**
 * Follows `path` for as long as the page is open.
 * @param {string} path
 * @param {object} to
 * @param {(event: SocketEvent) => void} to.take gets each event
 * @param {(words: string) => void} to.tell gets a sentence for the reader whenever the connection's state changes,
 *   "" when
 *   all is well
 */
export function follow(path, { take, tell }) {
  /** @type {Date | null} */
  let lostAt = null;
  let again = "";
  new Socket(path, {
    onevent: take,
    onstate(state) {
      if (state.is === "open") {
        lostAt = null;
        tell("");
      } else if (state.is === "doubtful") {
        lostAt ??= state.heard;
        tell(`Not up to date: nothing has been heard from the server since ${clock(lostAt)}.`);
      } else if (state.is === "lost") {
        lostAt ??= new Date();
        again = `Trying again in ${Math.max(1, Math.round(state.retryIn / 1000))} s.`;
        tell(`Not live: the connection was lost at ${clock(lostAt)}. ${again}`);
      } else if (state.is === "refused") {
        tell(`Not live. ${state.reason} ${again}`);
      } else {
        tell("You are signed out: sign in again to see what happens now.");
      }
    },
  });
}
