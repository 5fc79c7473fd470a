// The Models page's socket, and how it stands in words.

import { Socket } from "../chat/socket.js";

const clock = (moment) => moment.toLocaleTimeString("en-GB");

// Follows `path` for as long as the page is open. `take` gets each event (JSON); `tell` gets a sentence for the
// reader whenever the connection's state changes, "" when all is well.
export function follow(path, { take, tell }) {
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
