// @ts-check
// Frames that the server has not acknowledged yet, kept through reloads and sent again until it has. Each carries a
// client_id by which the server knows a repeat.

/** @import { KeptFrame } from "../shared/types.d.ts" */

/**
 * Where frames are kept: store.js, or what a test has.
 * @typedef {object} Store
 * @property {(name: string, fallback: KeptFrame[]) => KeptFrame[]} read
 * @property {(name: string, value: KeptFrame[]) => void} write
 */

const KEY = "outbox.";

export class Outbox {
  /**
   * @param {string | null} conversation its id, or null as long as there is none
   * @param {Store} store
   */
  constructor(conversation, store) {
    this.conversation = conversation;
    this.store = store;
    /** @type {KeptFrame[]} */
    this.frames = conversation ? store.read(KEY + conversation, []) : [];
  }

  /** @param {string} conversation */
  belongTo(conversation) {
    this.conversation = conversation;
    this.keep();
  }

  /** @param {KeptFrame} frame */
  add(frame) {
    this.frames.push(frame);
    this.keep();
  }

  /**
   * Take a frame out: it was acknowledged or given up. Returns it, or undefined.
   * @param {string} clientId
   */
  take(clientId) {
    const found = this.find(clientId);
    if (found) {
      this.frames = this.frames.filter((frame) => frame !== found);
      this.keep();
    }
    return found;
  }

  /**
   * @param {string} clientId
   * @param {string} detail why the server did not take it
   */
  refuse(clientId, detail) {
    const found = this.find(clientId);
    if (found) {
      found.refused = detail;
      this.keep();
    }
    return found;
  }

  /**
   * Have a frame that was refused wait again.
   * @param {KeptFrame} frame
   */
  again(frame) {
    delete frame.refused;
    this.keep();
  }

  get waiting() {
    return this.frames.filter((frame) => !frame.refused);
  }

  /** @param {string} clientId */
  find(clientId) {
    return this.frames.find((frame) => frame.client_id === clientId);
  }

  keep() {
    if (this.conversation) this.store.write(KEY + this.conversation, this.frames);
  }
}
