// The reader's place in the conversation. The end is kept in sight while text comes, until the reader wishes to go up, by however
// little; and again from when he is back at the very end.

import { onKey } from "./keys.js";

const VERY_END = 1; // pixels; positions are fractions of a pixel
const FAR = 160; // from the end, so that a button leads back

export class Place {
  /** `scroller` scrolls `column`; `jump` is the button that leads to the end. */
  constructor(scroller, column, jump) {
    Object.assign(this, { scroller, jump });
    this.sticking = true;
    this.top = 0; // where it stood last
    this.height = 0; // of all, when somebody could last see the end
    this.wish = 0; // where to the reader wished to go last: up (−1), down (1)
    this.finger = 0;
    const quiet = { passive: true };
    scroller.addEventListener("scroll", () => this.scrolled(), quiet);
    scroller.addEventListener("wheel", (event) => this.wheeled(event), quiet);
    scroller.addEventListener("touchstart", (event) => (this.finger = event.touches[0].clientY), quiet);
    scroller.addEventListener("touchmove", (event) => this.dragged(event.touches[0].clientY), quiet);
    onKey(scroller, (event) => this.pressed(event));
    jump.addEventListener("click", () => this.toEnd());
    const watch = new ResizeObserver(() => this.keep());
    watch.observe(scroller);
    watch.observe(column);
  }

  get gap() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  wheeled({ deltaX, deltaY, ctrlKey }) {
    if (!ctrlKey && Math.abs(deltaY) >= Math.abs(deltaX)) this.wishes(deltaY);
  }

  dragged(y) {
    this.wishes(this.finger - y);
    this.finger = y;
  }

  pressed({ key, shiftKey, target }) {
    if (target.closest("textarea, input")) return;
    if (["ArrowUp", "PageUp", "Home"].includes(key) || (key === " " && shiftKey)) this.wishes(-1);
    else if (["ArrowDown", "PageDown", "End", " "].includes(key)) this.wishes(1);
  }

  wishes(direction) {
    if (direction) this.wish = Math.sign(direction);
    if (direction < 0 && this.scroller.scrollTop > 0) this.sticking = false;
    if (direction > 0 && this.gap <= VERY_END) this.sticking = true;
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const moved = scrollTop - this.top;
    // Who goes down arrives at the end that he saw; what has come since is behind it.
    const end = this.wish > 0 ? Math.min(this.height, scrollHeight) : scrollHeight;
    if (moved < 0 && this.gap > VERY_END && scrollHeight >= this.height) this.sticking = false;
    else if (moved > 0 && end - scrollTop - clientHeight <= VERY_END) this.sticking = true;
    this.note();
  }

  /** Keep the end in sight, if that is where the reader is. */
  keep() {
    if (!this.sticking) {
      this.showJump();
      return;
    }
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.note();
  }

  toEnd() {
    this.sticking = true;
    this.keep();
  }

  note() {
    this.top = this.scroller.scrollTop;
    this.height = this.scroller.scrollHeight;
    this.showJump();
  }

  showJump() {
    this.jump.hidden = this.sticking || this.gap < FAR;
  }
}
