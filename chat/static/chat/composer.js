// The box at the bottom: text, keys, drafts.

import { autosize, byId } from "./dom.js";
import { count } from "./format.js";
import { onKey } from "./keys.js";
import { points } from "./points.js";
import { read, write } from "./store.js";

const KEY = "draft.";
const PAUSE = 250;

export class Composer {
  /** `actions`: {send(text), stop(), editLast()}; `conversation`: id or null; `most`: characters allowed. */
  constructor(conversation, most, actions) {
    Object.assign(this, { conversation, most, actions });
    this.form = byId("composer");
    this.area = byId("composer-text");
    this.button = byId("send");
    this.stopButton = byId("stop");
    this.hint = byId("hint");
    this.usual = this.hint.textContent;
    this.homeless = []; // sent texts that have no conversation yet: they stay in the draft until they have
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
    this.hint.textContent = length > this.most * 0.9 ? `${count(length)} of ${count(this.most)} characters` : this.usual;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), PAUSE);
  }

  keep() {
    clearTimeout(this.timer);
    write(this.key, [...this.homeless, this.area.value].filter(Boolean).join("\n\n"));
  }

  /** The conversation exists now: drafts belong to it. */
  belongTo(conversation) {
    write(this.key, null);
    this.homeless = [];
    this.conversation = conversation;
    this.keep();
  }

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

  /** Put text into the box, in front of what is there. */
  put(text) {
    this.homeless = this.homeless.filter((each) => each !== text);
    this.area.value = this.empty ? text : `${text}\n\n${this.area.value}`;
    this.changed();
    this.area.focus();
    this.area.setSelectionRange(text.length, text.length);
  }

  /** Whether there is a reply to be stopped. */
  busy(open) {
    this.stopButton.hidden = !open;
  }
}
