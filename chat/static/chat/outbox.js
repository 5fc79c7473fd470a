// Frames that the server has not acknowledged yet, kept through reloads and sent again until it has. Each carries a
// client_id by which the server knows a repeat.

import { read, write } from "./store.js";

const KEY = "outbox.";

export class Outbox {
  /** `conversation`: its id, or null as long as there is none. */
  constructor(conversation) {
    this.conversation = conversation;
    this.frames = conversation ? read(KEY + conversation, []) : [];
  }

  belongTo(conversation) {
    this.conversation = conversation;
    this.keep();
  }

  add(frame) {
    this.frames.push(frame);
    this.keep();
  }

  /** Take a frame out: it was acknowledged or given up. Returns it, or undefined. */
  take(clientId) {
    const found = this.frames.find((frame) => frame.client_id === clientId);
    if (found) {
      this.frames = this.frames.filter((frame) => frame !== found);
      this.keep();
    }
    return found;
  }

  refuse(clientId, detail) {
    const found = this.frames.find((frame) => frame.client_id === clientId);
    if (found) {
      found.refused = detail;
      this.keep();
    }
    return found;
  }

  get waiting() {
    return this.frames.filter((frame) => !frame.refused);
  }

  keep() {
    if (this.conversation) write(KEY + this.conversation, this.frames);
  }
}
