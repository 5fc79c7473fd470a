// @ts-check
// One socket that comes back by itself. It knows whether anybody is at the other end, and says what it is doing, so
// that the page can say so too.
//
// A network that swallows packets closes nothing: an open socket proves nothing by itself. So the page asks for a
// sign of life (`ping`, answered by `pong`; any other event is one too) when nothing has come for a while, and when
// it has reason to doubt: it is looked at again, the network is back, or the clock has jumped because the machine
// slept.

import { address } from "./site.js";
import { whyClosed } from "./why_closed.js";

/** @import { Frame, SocketEvent, SocketState } from "./types.d.ts" */

const SLOWEST = 15_000;
const FLOODED = 4429; // the server closes a socket on which too much came
const COOL_OFF = 30_000;
const SIGNED_OUT = 4401;
const NOT_FOUND = 4404;
const QUIET = 25_000; // after so long without an event, the server is asked for a sign of life
const DOUBTFUL = 4_000; // an answer that takes longer than this is told to the reader,
const DEAD = 10_000; // one that takes longer than this means a dead connection,
const BEGINNING = 15_000; // and this is how long a connection may take to begin.
const HUNG = 2_000;
const TICK = 5_000;
const JUMP = 20_000; // a tick that comes so late says that the machine, or the page, slept

export class Socket {
  /** @type {WebSocket | null} */
  socket = null;
  /** @type {number | undefined} */
  timer; // of the next try
  /** @type {number | undefined} */
  patience;
  /** @type {number | undefined} */
  doubting;
  begun = 0;
  greeted = false;
  doubted = false;

  /**
   * @param {string} path
   * @param {object} to
   * @param {(event: SocketEvent) => void} to.onevent gets each event
   * @param {(state: SocketState) => void} to.onstate `heard`: when the last event came; `retryIn`: milliseconds;
   *   `reason`: why it cannot open, in words
   */
  constructor(path, { onevent, onstate }) {
    this.path = path;
    const url = new URL(address(path), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.url = url.href;
    this.onevent = onevent;
    this.onstate = onstate;
    this.tries = 0;
    this.ended = this.known = false; // known: it has been open
    this.heard = Date.now();
    this.ticked = Date.now();
    this.onwake = () => document.visibilityState !== "hidden" && this.wake();
    window.addEventListener("online", this.onwake);
    document.addEventListener("visibilitychange", this.onwake);
    this.ticking = setInterval(() => this.tick(), TICK);
    this.connect();
  }

  /**
   * Send a frame if the socket is open; returns whether it was.
   * @param {Frame} frame
   */
  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** An answer is owed: without any event for a while the connection is doubted, at last taken for dead. */
  expectAnswer() {
    if (!this.patience) this.wait(DEAD, DOUBTFUL);
  }

  /** Ask for a sign of life. */
  ask() {
    if (!this.patience && this.send({ type: "ping" })) this.expectAnswer();
  }

  /** Try at once, if the socket waits for its next try; give up a connection that is doubted. */
  now() {
    if (this.doubted) this.drop();
    else this.wake();
  }

  /** Something has changed: a try that waits is made now, one that has hung is made anew, a connection is asked. */
  wake() {
    if (this.timer) this.connect();
    else if (this.greeted) this.ask();
    else if (Date.now() - this.begun > HUNG) {
      give(this.socket);
      this.connect();
    }
  }

  tick() {
    const now = Date.now();
    const slept = now - this.ticked > JUMP;
    this.ticked = now;
    if (slept) this.wake();
    else if (this.greeted && now - this.heard > QUIET) this.ask();
  }

  /**
   * @param {number} most
   * @param {number} [doubtful]
   */
  wait(most, doubtful) {
    this.patience = window.setTimeout(() => this.drop(), most);
    if (doubtful) this.doubting = window.setTimeout(() => this.doubt(), doubtful);
  }

  waited() {
    clearTimeout(this.patience);
    clearTimeout(this.doubting);
    this.patience = this.doubting = undefined;
  }

  doubt() {
    this.doubted = true;
    this.onstate({ is: "doubtful", heard: new Date(this.heard) });
  }

  close() {
    this.end();
    clearTimeout(this.timer);
    this.waited();
    if (this.socket) leave(this.socket);
  }

  end() {
    this.ended = true;
    window.removeEventListener("online", this.onwake);
    document.removeEventListener("visibilitychange", this.onwake);
    clearInterval(this.ticking);
  }

  connect() {
    clearTimeout(this.timer);
    this.waited();
    this.timer = undefined;
    this.begun = Date.now();
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.wait(BEGINNING);
    socket.onmessage = (message) => {
      if (this.socket !== socket) return;
      this.waited();
      this.heard = Date.now();
      /** @type {SocketEvent} */
      const event = JSON.parse(message.data);
      const greeted = event.type === "hello" && !this.greeted;
      if (greeted) {
        this.greeted = this.known = true;
        this.tries = 0;
      }
      if (greeted || this.doubted) {
        this.doubted = false;
        this.onstate({ is: "open" });
      }
      if (event.type !== "pong") this.onevent(event);
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.code);
    };
  }

  /** Give a connection up without waiting for its closing handshake, which a dead one never makes. */
  drop() {
    const socket = this.socket;
    this.socket = null;
    give(socket);
    this.lost(1006);
  }

  /** @param {number} code */
  lost(code) {
    this.greeted = this.doubted = false;
    this.waited();
    if (this.ended) return;
    if (code === SIGNED_OUT || code === NOT_FOUND) {
      this.end();
      this.onstate({ is: code === SIGNED_OUT ? "signed-out" : "gone" });
      return;
    }
    const flooded = code === FLOODED;
    const most = flooded ? COOL_OFF : Math.min(SLOWEST, 400 * 2 ** this.tries);
    const retryIn = most * (0.5 + Math.random() / 2);
    this.tries += 1;
    this.timer = window.setTimeout(() => this.connect(), retryIn);
    this.onstate({ is: "lost", retryIn, tries: this.tries, flooded });
    if (this.known) return; // the way here lets sockets through
    whyClosed(this.path, this.tries).then((reason) => {
      if (reason && !this.ended && !this.greeted) this.onstate({ is: "refused", reason });
    });
  }
}

/**
 * Give a connection up that is dead. Browsers make one handshake with a server at a time: one that hangs holds up
 * the next.
 * @param {WebSocket | null} socket
 */
function give(socket) {
  if (!socket) return;
  socket.onmessage = socket.onclose = null;
  socket.close();
}

/**
 * Close a connection that nobody listens to any more; one that is still being made, when it has been made: browsers
 * complain otherwise.
 * @param {WebSocket} socket
 */
function leave(socket) {
  socket.onmessage = socket.onclose = null;
  if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
  else socket.close();
}
