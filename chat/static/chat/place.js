// @ts-check
// The reader's place in the conversation: listens to what he does, and keeps the end in sight where sticking.js says
// so.

import { onKey } from "./keys.js";
import { direction, gap, Sticking } from "./sticking.js";

const FAR = 160; // pixels from the end, so that a button leads back

export class Place {
  sticking = new Sticking();
  finger = 0;

  /**
   * @param {HTMLElement} scroller scrolls `column`
   * @param {HTMLElement} column
   * @param {HTMLElement} jump the button that leads to the end
   */
  constructor(scroller, column, jump) {
    this.scroller = scroller;
    this.jump = jump;
    const quiet = { passive: true };
    scroller.addEventListener("scroll", () => this.scrolled(), quiet);
    scroller.addEventListener("wheel", (event) => this.wheeled(event), quiet);
    scroller.addEventListener("touchstart", (event) => this.touched(event.touches[0].clientY), quiet);
    scroller.addEventListener("touchmove", (event) => this.dragged(event.touches[0].clientY), quiet);
    onKey(scroller, (event) => this.pressed(event));
    jump.addEventListener("click", () => this.toEnd());
    const watch = new ResizeObserver(() => this.keep());
    watch.observe(scroller);
    watch.observe(column);
  }

  /** @param {WheelEvent} event */
  wheeled({ deltaX, deltaY, ctrlKey }) {
    if (!ctrlKey && Math.abs(deltaY) >= Math.abs(deltaX)) this.sticking.wants(deltaY, this.scroller);
  }

  /** @param {number} y */
  touched(y) {
    this.finger = y;
  }

  /** @param {number} y */
  dragged(y) {
    this.sticking.wants(this.finger - y, this.scroller);
    this.finger = y;
  }

  /** @param {KeyboardEvent} event */
  pressed({ key, shiftKey, target }) {
    if (target instanceof Element && target.closest("textarea, input")) return;
    this.sticking.wants(direction(key, shiftKey), this.scroller);
  }

  scrolled() {
    this.sticking.scrolled(this.scroller);
    this.showJump();
  }

  /** Keep the end in sight, if that is where the reader is. */
  keep() {
    if (this.sticking.on) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.sticking.note(this.scroller);
    }
    this.showJump();
  }

  toEnd() {
    this.sticking.on = true;
    this.keep();
  }

  showJump() {
    this.jump.hidden = this.sticking.on || gap(this.scroller) < FAR;
  }
}
