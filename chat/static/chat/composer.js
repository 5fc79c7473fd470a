// @ts-check
// The box at the bottom: text, keys, drafts.

import { autosize, byId } from "./dom.js";
import { count } from "./format.js";
import { onKey } from "./keys.js";
import { points } from "./points.js";
import { read, write } from "./store.js";

const KEY = "draft.";
const PAUSE = 250;

/**
 * @typedef {object} Actions
 * @property {(text: string) => void} send
 * @property {() => void} stop
 * @property {() => boolean} editLast whether there was one
 */

export class Composer {
  /** @type {string[]} */
  homeless = []; // sent texts that have no conversation yet: they stay in the draft until they have
  /** @type {number | undefined} */
  timer;

  /**
   * @param {string | null} conversation its id
   * @param {number} most characters allowed
   * @param {Actions} actions
   */
  constructor(conversation, most, actions) {
    this.conversation = conversation;
    this.most = most;
    this.actions = actions;
    this.form = byId("composer", HTMLFormElement);
    this.area = byId("composer-text", HTMLTextAreaElement);
    this.button = byId("send", HTMLButtonElement);
    this.stopButton = byId("stop", HTMLButtonElement);
    this.hint = byId("hint");
    this.usual = this.hint.textContent;

    this.touch = matchMedia("(pointer: coarse)");
    this.area.value ||= read(this.key, "");
    this.area.addEventListener("input", () => this.changed());
    onKey(this.area, (event) => this.pressed(event));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.stopButton.addEventListener("click", () => this.actions.stop());
    window.addEventListener("pagehide", () => this.keep());
    this.changed();
  }

  get key() {
    return KEY + (this.conversation ?? "new");
  }

  get empty() {
    return this.area.value.trim() === "";
  }

  changed() {
    autosize(this.area);
    const length = this.area.value.length > this.most * 0.9 ? points(this.area.value) : 0;
    const over = length > this.most;
    this.button.disabled = this.empty || over;
    this.hint.classList.toggle("over", over);
    this.hint.textContent =
      length > this.most * 0.9 ? `${count(length)} of ${count(this.most)} characters` : this.usual;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.keep(), PAUSE);
  }

  keep() {
    clearTimeout(this.timer);
    write(this.key, [...this.homeless, this.area.value].filter(Boolean).join("\n\n"));
  }

  /**
   * The conversation exists now: drafts belong to it.
   * @param {string} conversation
   */
  belongTo(conversation) {
    write(this.key, null);
    this.homeless = [];
    this.conversation = conversation;
    this.keep();
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.key === "Enter" && !event.shiftKey && !this.touch.matches) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "ArrowUp" && this.area.value === "") {
      if (this.actions.editLast()) event.preventDefault();
    }
  }

  submit() {
    if (this.button.disabled) return;
    const text = this.area.value.trim();
    this.area.value = "";
    if (!this.conversation) this.homeless.push(text);
    this.changed();
    this.keep();
    this.actions.send(text);
    this.area.focus();
  }

  /**
   * Put text into the box, in front of what is there.
   * @param {string} text
   */
  put(text) {
    this.homeless = this.homeless.filter((each) => each !== text);
    this.area.value = this.empty ? text : `${text}\n\n${this.area.value}`;
    this.changed();
    this.area.focus();
    this.area.setSelectionRange(text.length, text.length);
  }

  /**
   * Whether there is a reply to be stopped.
   * @param {boolean} open
   */
  busy(open) {
    this.stopButton.hidden = !open;
  }
}
