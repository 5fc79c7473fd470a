// @ts-check
// The same message, answered by another model: shown beside a reply, with what its reader thinks of the two.

import { h, press } from "./dom.js";
import { MessageView } from "./message.js";
import { hasEnded } from "./state.js";

/**
 * @import { Better } from "../shared/types.d.ts"
 * @import { Held } from "./state.js"
 * @import { Actions } from "./message.js"
 */

export class Comparison {
  title = h("h3", {});
  stop = press("link-button", () => this.actions.stop(this.view.message));
  judged = h("div", { class: "verdict" });

  /**
   * @param {Held} message
   * @param {Actions} actions
   */
  constructor(message, actions) {
    this.actions = actions;
    this.view = new MessageView(message, actions);
    this.element = h(
      "section",
      { class: "comparison", "aria-label": "Comparison" },
      h("header", {}, this.title, this.stop),
      this.view.element,
    );
  }

  /**
   * Show the whole comparison.
   * @param {Held} message
   * @param {Held} reply beside which it stands
   * @param {string} hold why queued replies have to wait, or ""
   */
  update(message, reply, hold) {
    this.view.update(message, hold);
    this.title.textContent = message.model || "Another model";
    this.stop.textContent = message.status === "streaming" ? "Stop" : "Cancel";
    this.stop.hidden = hasEnded(message);
    const both = hasEnded(message) && message.text.trim() !== "";
    const held = this.judged.contains(document.activeElement) ? document.activeElement?.textContent : null;
    this.judged.replaceChildren(...(both ? this.question(message, reply) : []));
    this.judged.hidden = !both;
    if (held) [...this.judged.querySelectorAll("button")].find((each) => each.textContent === held)?.focus();
  }

  /**
   * @param {Held} message
   * @param {Held} reply
   */
  question(message, reply) {
    /** @type {[Better, string][]} */
    const choices = [
      ["first", reply.model],
      ["same", "About the same"],
      ["second", message.model],
    ];
    const buttons = choices.map(([better, label]) => {
      const chosen = message.better === better;
      const button = press(
        "button small",
        () => this.actions.judge(message, chosen ? null : better),
        h("span", { dir: "auto" }, label),
      );
      button.setAttribute("aria-pressed", String(chosen));
      return button;
    });
    return [
      h("span", { id: `better-${message.id}` }, "Which is better?"),
      h("div", { class: "choices", role: "group", "aria-labelledby": `better-${message.id}` }, ...buttons),
      press("link-button", () => this.actions.keep(message), `Go on with ${message.model}’s reply`),
    ];
  }
}
