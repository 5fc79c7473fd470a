// One socket that comes back by itself. It says what it is doing, so that the page can say so too.

import { address } from "./site.js";
import { whyClosed } from "./why_closed.js";

const SLOWEST = 15_000;
const SIGNED_OUT = 4401;
const NOT_FOUND = 4404;
const SILENT = 12_000; // an answer that takes longer than this means a dead connection

export class Socket {
  /**
   * `onevent(event)` gets each message. `onstate(state)` gets
   * {is: "open"} · {is: "refused", reason: why it cannot open, in words} · {is: "lost", retryIn: milliseconds, tries} · {is: "signed-out"} · {is: "gone"}.
   */
  constructor(path, { onevent, onstate }) {
    this.path = path;
    const url = new URL(address(path), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.url = url.href;
    this.onevent = onevent;
    this.onstate = onstate;
    this.tries = 0;
    this.ended = false;
    this.onwake = () => this.now();
    window.addEventListener("online", this.onwake);
    document.addEventListener("visibilitychange", this.onwake);
    this.connect();
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Send a frame if the socket is open; returns whether it was. */
  send(frame) {
    if (!this.open) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** An answer is owed: without any event for a while the connection is taken for dead and made anew. */
  expectAnswer() {
    if (this.patience) return;
    this.patience = setTimeout(() => {
      this.patience = null;
      if (this.open) this.drop();
    }, SILENT);
  }

  /** Try at once, if the socket waits for its next try. */
  now() {
    if (this.timer && document.visibilityState !== "hidden") this.connect();
  }

  close() {
    this.ended = true;
    window.removeEventListener("online", this.onwake);
    document.removeEventListener("visibilitychange", this.onwake);
    clearTimeout(this.timer);
    clearTimeout(this.patience);
    if (this.socket) leave(this.socket);
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onmessage = (message) => {
      if (this.socket !== socket) return;
      clearTimeout(this.patience);
      this.patience = null;
      const event = JSON.parse(message.data);
      if (event.type === "hello" && !this.greeted) {
        this.greeted = true;
        this.tries = 0;
        this.onstate({ is: "open" });
      }
      this.onevent(event);
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.code);
    };
  }

  /** Give a connection up without waiting for its closing handshake, which a dead one never makes. */
  drop() {
    const socket = this.socket;
    this.socket = null;
    leave(socket);
    this.lost(1006);
  }

  lost(code) {
    this.greeted = false;
    clearTimeout(this.patience);
    this.patience = null;
    if (this.ended) return;
    if (code === SIGNED_OUT || code === NOT_FOUND) {
      this.ended = true;
      this.onstate({ is: code === SIGNED_OUT ? "signed-out" : "gone" });
      return;
    }
    const most = Math.min(SLOWEST, 400 * 2 ** this.tries);
    const retryIn = most * (0.5 + Math.random() / 2);
    this.tries += 1;
    this.timer = setTimeout(() => this.connect(), retryIn);
    this.onstate({ is: "lost", retryIn, tries: this.tries });
    whyClosed(this.path, this.tries).then((reason) => {
      if (reason && !this.ended && !this.greeted) this.onstate({ is: "refused", reason });
    });
  }
}

/** Close a connection that nobody listens to any more; one that is still being made, when it has been made: browsers complain otherwise. */
function leave(socket) {
  socket.onmessage = socket.onclose = null;
  if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
  else socket.close();
}
