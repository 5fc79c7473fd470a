// @ts-check
// Whether the reader's place is the end, which is then kept in sight while text comes: until the reader wants to go
// up, by however little; and again from when he is back at the very end.

const VERY_END = 1; // pixels; positions are fractions of a pixel

/**
 * What scrolls, as far as this has to know it.
 * @typedef {Pick<Element, "scrollTop" | "scrollHeight" | "clientHeight">} Box
 */

/**
 * How far the end of the box is from what is seen of it.
 * @param {Box} box
 */
export const gap = ({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - scrollTop - clientHeight;

/**
 * The direction that a key stands for: up (−1), down (1), or neither.
 * @param {string} key
 * @param {boolean} shift
 */
export function direction(key, shift) {
  if (["ArrowUp", "PageUp", "Home"].includes(key) || (key === " " && shift)) return -1;
  return ["ArrowDown", "PageDown", "End", " "].includes(key) ? 1 : 0;
}

export class Sticking {
  on = true;
  top = 0; // where the box stood last
  height = 0; // of all, when somebody could last see the end
  wanted = 0; // where to the reader wanted to go last: up (−1), down (1)

  /**
   * The reader wants to go somewhere; the box has not moved yet.
   * @param {number} direction
   * @param {Box} box
   */
  wants(direction, box) {
    if (direction) this.wanted = Math.sign(direction);
    if (direction < 0 && box.scrollTop > 0) this.on = false;
    if (direction > 0 && gap(box) <= VERY_END) this.on = true;
  }

  /**
   * The box has moved.
   * @param {Box} box
   */
  scrolled(box) {
    const { scrollTop, scrollHeight, clientHeight } = box;
    const moved = scrollTop - this.top;
    // Who goes down arrives at the end that he saw; what has come since is behind it.
    const end = this.wanted > 0 ? Math.min(this.height, scrollHeight) : scrollHeight;
    if (moved < 0 && gap(box) > VERY_END && scrollHeight >= this.height) this.on = false;
    else if (moved > 0 && end - scrollTop - clientHeight <= VERY_END) this.on = true;
    this.note(box);
  }

  /**
   * The end could be seen as it is now.
   * @param {Box} box
   */
  note({ scrollTop, scrollHeight }) {
    this.top = scrollTop;
    this.height = scrollHeight;
  }
}
