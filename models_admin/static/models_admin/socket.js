// A WebSocket that comes back: it reconnects with growing pauses, and says in words how it stands.

import { address } from "../chat/site.js";
import { whyClosed } from "../chat/why_closed.js";

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 15000;
const NOT_SIGNED_IN = 4401;

// Follows `path` for as long as the page is open. `take` gets each event (JSON); `tell` gets a sentence for the
// reader whenever the connection's state changes, "" when all is well.
export function follow(path, { take, tell }) {
  let pause = FIRST_PAUSE;
  let timer = 0;
  let lostAt = null;
  let tries = 0;

  function connect() {
    const url = new URL(address(path), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.addEventListener("message", (message) => {
      pause = FIRST_PAUSE;
      lostAt = null;
      tries = 0;
      tell("");
      take(JSON.parse(message.data));
    });
    socket.addEventListener("close", (event) => {
      if (event.code === NOT_SIGNED_IN) {
        tell("You are signed out: sign in again to see what happens now.");
        return;
      }
      lostAt ??= new Date();
      const seconds = Math.max(1, Math.round(pause / 1000));
      const since = lostAt.toLocaleTimeString("en-GB");
      const again = `Trying again in ${seconds} s.`;
      tries += 1;
      tell(`Not live: the connection was lost at ${since}. ${again}`);
      whyClosed(path, tries).then((reason) => {
        if (reason && lostAt) tell(`Not live. ${reason} ${again}`);
      });
      timer = setTimeout(connect, pause * (0.8 + 0.4 * Math.random()));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    });
  }

  addEventListener("online", () => {
    if (lostAt) {
      clearTimeout(timer);
      connect();
    }
  });
  connect();
}
