// @ts-check
// Aliases: names for models. A conversation may have one; whatever is loaded answers all the same.

import { call } from "./api.js";
import { aliasNote } from "./wording.js";

/** @import { AliasChoice, Backend } from "../shared/types.d.ts" */

export class Aliases {
  /**
   * @param {AliasChoice[]} known those of this user, with the retired ones
   * @param {HTMLElement} line where it is said that something else answers
   */
  constructor(known, line) {
    this.known = known;
    this.line = line;
  }

  /** Look them up anew. Where that fails, what is known stays. */
  async fetch() {
    try {
      this.known = (await call("GET", "/aliases")).aliases;
    } catch {
      // The next look will do.
    }
  }

  /**
   * @param {string} chosen the conversation's alias; "" without one
   * @param {Backend | null} backend
   */
  show(chosen, backend) {
    const words = aliasNote(chosen, this.known, backend);
    if (this.line.textContent !== words) this.line.textContent = words;
    this.line.hidden = !words;
  }

  /**
   * Put the choices into a menu; one that is chosen stays, also where it can be chosen no more.
   * @param {HTMLSelectElement} menu
   * @param {string} chosen
   */
  fill(menu, chosen) {
    const offered = this.known.filter((each) => !each.retired);
    const options = offered.map(
      (each) => new Option(`${each.name} (${each.model || "whatever is loaded"})`, each.name),
    );
    if (chosen && !offered.some((each) => each.name === chosen)) {
      options.push(new Option(`${chosen} (no longer offered)`, chosen));
    }
    menu.replaceChildren(new Option("Whatever is loaded", ""), ...options);
    menu.value = chosen;
  }
}
