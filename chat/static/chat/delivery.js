// @ts-check
// How what a person wrote gets to the server: it is kept until the server acknowledges it, and sent again until then.
// The first message makes its conversation.

import { call, Failure, words } from "./api.js";
import { uuid } from "./dom.js";
import { toast } from "./toast.js";

/**
 * @import { ChatErrorEvent, Created, KeptFrame, Settings } from "../shared/types.d.ts"
 * @import { Socket } from "../shared/socket.js"
 * @import { Outbox } from "./outbox.js"
 * @import { State } from "./state.js"
 * @import { View } from "./view.js"
 */

/**
 * What the page has for it, and does upon it.
 * @typedef {object} Page
 * @property {() => Socket} socket the one that is used now
 * @property {() => void} kept a frame has been put into the outbox
 * @property {(made: Created) => void} begun the conversation has been made, and needs a socket
 */

const AT_ONCE = 10; // frames
const UNSAVED = 3000; // milliseconds until what could not be saved is sent again
const TRY_AGAIN = 5000; // milliseconds until a conversation that could not be made is tried again

export class Delivery {
  /** @type {Settings} */
  settings = { alias: "", system_prompt: "", temperature: null, max_tokens: null }; // before it has begun
  /** @type {Promise<void> | null} */
  beginning = null;
  /** @type {string | null} */
  newId = null; // of the conversation that begins
  warned = false; // that nothing can be saved
  /** @type {number | null} */
  retrying = null;

  /**
   * @param {State} state
   * @param {Outbox} outbox
   * @param {View} view
   * @param {Page} page
   */
  constructor(state, outbox, view, page) {
    this.state = state;
    this.outbox = outbox;
    this.view = view;
    this.page = page;
  }

  /**
   * Send a frame that must not be lost.
   * @param {KeptFrame} frame
   */
  post(frame) {
    this.outbox.add(frame);
    this.deliver(frame);
    this.page.kept();
    this.view.schedule();
  }

  /** @param {KeptFrame} frame that is in the outbox */
  deliver(frame) {
    if (!this.state.conversation) this.begin();
    else if (this.view.connected && !this.beginning) this.transmit([frame]);
  }

  /**
   * Send frames a few at a time: the server takes only so many a second, and answers the rest with "too_fast".
   * @param {KeptFrame[]} frames
   */
  transmit(frames) {
    const socket = this.page.socket();
    for (const frame of frames.slice(0, AT_ONCE)) if (socket.send(frame)) socket.expectAnswer();
    if (frames.length > AT_ONCE) this.transmitLater(frames.slice(AT_ONCE));
  }

  /** @param {KeptFrame[]} frames */
  transmitLater(frames) {
    const connection = this.page.socket();
    setTimeout(() => {
      const still = frames.filter((frame) => this.outbox.waiting.includes(frame));
      if (connection === this.page.socket() && this.view.connected) this.transmit(still);
    }, 1000);
  }

  /**
   * The server has what a person wrote. Returns its frame, if it was of this page.
   * @param {string} clientId
   */
  acknowledged(clientId) {
    this.warned = false;
    return this.outbox.take(clientId);
  }

  /**
   * The server has refused something.
   * @param {ChatErrorEvent} error
   */
  refused({ code, detail, client_id: clientId }) {
    const { outbox, view } = this;
    if (code === "not_saved" && outbox.waiting.some((frame) => frame.client_id === clientId)) {
      this.unsaved(detail, () => view.connected && this.transmit(outbox.waiting));
      return;
    }
    if (code === "too_fast") {
      this.transmitLater(outbox.waiting);
      return;
    }
    const frame = clientId ? outbox.refuse(clientId, detail) : undefined;
    if (frame?.type === "edit") outbox.take(frame.client_id);
    if (frame?.type !== "send") toast(detail);
  }

  /** Make the conversation that the first message belongs to; its socket then sends what waits. */
  begin() {
    // The page names it: where the answer was lost, the next try finds it.
    this.newId ??= uuid();
    if (!this.beginning && this.view.connected) this.page.socket().ask();
    this.beginning ??= call("POST", "/conversations", { ...this.settings, id: this.newId })
      .then((made) => this.begun(made))
      .catch((error) => this.notBegun(error))
      .finally(() => {
        this.beginning = null;
      });
  }

  /** Messages wait for a conversation that could not be made. */
  beginAgain() {
    if (!this.state.conversation && this.outbox.waiting.length) this.begin();
  }

  /** @param {Created} made */
  begun(made) {
    this.state.conversation = { id: made.id, title: made.title, ...this.settings };
    this.outbox.belongTo(made.id);
    this.view.reached = true;
    this.page.begun(made);
  }

  /** @param {unknown} error */
  notBegun(error) {
    const status = error instanceof Failure ? error.status : 0;
    if (status === undefined) {
      this.view.reached = false;
      this.view.schedule();
      setTimeout(() => this.beginAgain(), TRY_AGAIN);
    } else if (status === 507 || status === 503) {
      this.unsaved(words(error), () => this.beginAgain());
    } else {
      for (const frame of this.outbox.waiting) this.outbox.refuse(frame.client_id, words(error));
      this.view.schedule();
    }
  }

  /**
   * The server can save nothing at the moment: what was sent is kept, and sent again until it is taken.
   * @param {string} detail
   * @param {() => void} retry
   */
  unsaved(detail, retry) {
    if (!this.warned) toast(`${detail} What you wrote is kept here and sent again.`, null, 12_000);
    this.warned = true;
    if (this.retrying !== null) return;
    this.retrying = window.setTimeout(() => {
      this.retrying = null;
      retry();
    }, UNSAVED);
  }
}
