// @ts-check
// When a page that shows something old asks for itself anew. However many pages are open, a change must not bring
// all of their requests at once: each waits for a moment of its own, and asks once for all that has changed
// meanwhile. No DOM here.

const SPREAD = 2000; // milliseconds

export class Refresher {
  /** @type {unknown} */
  timer = null;
  running = false;
  again = false; // the reader waits for another answer
  missed = false; // something may have changed during this one

  /**
   * @param {() => boolean} needed whether the page still shows something old
   * @param {() => Promise<void>} load asks for the page anew, and shows it
   * @param {(work: () => void, milliseconds: number) => unknown} later setTimeout, or what a test has
   */
  constructor(needed, load, later = (work, milliseconds) => setTimeout(work, milliseconds)) {
    this.needed = needed;
    this.load = load;
    this.later = later;
  }

  /** Something may have changed. */
  soon() {
    this.missed = this.running;
    if (this.running || this.timer !== null || !this.needed()) return;
    const due = () => {
      this.timer = null;
      if (this.needed()) this.now();
    };
    this.timer = this.later(due, Math.random() * SPREAD);
  }

  /** The reader waits for it. */
  async now() {
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    do {
      this.again = false;
      await this.load();
    } while (this.again);
    this.running = false;
    if (this.missed) this.soon();
  }
}
