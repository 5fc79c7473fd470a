// @ts-check
// What the page says about its connection: nothing while it stands, the plain truth when it does not.

import { byId, h } from "./dom.js";
import { address } from "../shared/site.js";

/** @import { SocketState } from "../shared/types.d.ts" */

const PATIENCE = 900; // a connection that is back within this time is not worth a word

export class Banner {
  /** @type {number | undefined} */
  ticking;
  /** @type {number | undefined} */
  patience;
  /** @type {number | null} */
  since = null; // when the connection was last good
  at = 0; // when the next try is
  flooded = false;
  reason = "";

  /**
   * @param {() => number} waiting how many messages have not been sent
   * @param {() => void} retry try now
   */
  constructor(waiting, retry) {
    this.waiting = waiting;
    this.retry = retry;
    this.element = byId("banner");
  }

  /** @param {SocketState} state */
  show(state) {
    clearInterval(this.ticking);
    if (state.is === "open") {
      clearTimeout(this.patience);
      this.since = null;
      this.reason = "";
      this.element.hidden = true;
    } else if (state.is === "doubtful") {
      this.since ??= Date.now();
      const heard = state.heard.toLocaleTimeString();
      const words = `Not up to date: nothing has been heard from the server since ${heard}.`;
      this.put(words, this.tryNow(), false);
    } else if (state.is === "lost") {
      this.flooded = state.flooded;
      this.since ??= Date.now();
      this.at = Date.now() + state.retryIn;
      clearTimeout(this.patience);
      this.patience = window.setTimeout(() => this.lost(), Math.max(0, this.since + PATIENCE - Date.now()));
    } else if (state.is === "refused") {
      this.reason = state.reason;
      if (!this.element.hidden) this.lost();
    } else if (state.is === "signed-out") {
      const link = h(
        "a",
        {
          class: "button small",
          href: `${address("/accounts/login/")}?next=${encodeURIComponent(location.pathname)}`,
        },
        "Sign in",
      );
      this.put("You have been signed out. What you wrote is kept here.", link, true);
    } else {
      this.put(
        "This conversation no longer exists.",
        h("a", { class: "button small", href: address("/") }, "New chat"),
        true,
      );
    }
  }

  lost() {
    const words = document.createTextNode("");
    const tell = () => {
      const left = Math.ceil((this.at - Date.now()) / 1000);
      const kept = this.waiting() ? " Your message is kept and will be sent." : "";
      const said = this.flooded ? "This page sent too much at once." : this.reason || "Connection lost.";
      words.data = `${said} ${left > 0 ? `Trying again in ${left} s.` : "Connecting…"}${kept}`;
    };
    tell();
    this.ticking = window.setInterval(tell, 1000);
    this.put(words, this.tryNow(), false);
  }

  tryNow() {
    return h("button", { type: "button", class: "button small", onclick: () => this.retry() }, "Try now");
  }

  /**
   * @param {string | Text} words
   * @param {HTMLElement} action
   * @param {boolean} bad
   */
  put(words, action, bad) {
    clearTimeout(this.patience);
    this.element.className = bad ? "banner bad" : "banner";
    this.element.replaceChildren(h("span", { class: "words" }, words), action);
    this.element.hidden = false;
  }
}
