// @ts-check
// One message on the page. What changes is touched, nothing else: blocks are appended, text nodes grow.

import { paint } from "./paint.js";
import { h, icon, iconButton, press } from "./dom.js";
import { editor } from "./editor.js";
import { FeedbackParts } from "./feedback.js";
import { said } from "./said.js";
import { hasEnded, hostOf, isOpen } from "./state.js";
import { Tail } from "./tail.js";
import { facts, leftOut, statusOf, thoughtsTitle, waiting } from "./wording.js";

/**
 * @import { Better, Versions } from "../shared/types.d.ts"
 * @import { Comparison } from "./comparison.js"
 * @import { Rating } from "./feedback.js"
 * @import { Held } from "./state.js"
 */

/**
 * What the buttons of a message do.
 * @typedef {Rating & Own} Actions
 */

/**
 * @typedef {object} Own
 * @property {(message: Held, button: HTMLElement) => void} copy
 * @property {(message: Held) => void} regenerate
 * @property {(message: Held) => void} goOn
 * @property {(message: Held) => void} edit
 * @property {(message: Held, id: number) => void} select
 * @property {(message: Held) => void} stop
 * @property {(id: number) => void} compare the reply with another model's
 * @property {(comparison: Held, better: Better | null) => void} judge
 * @property {(comparison: Held) => void} keep
 */

export class MessageView {
  foot = h("div", { class: "foot" });
  body = h("div", { class: "said" }); // of a person's message; the rest is a reply's
  tail = new Tail();
  prose = h("div", { class: "prose" }, this.tail.element);
  status = h("div", { class: "status" });
  reasoning = document.createTextNode("");
  thoughtsTitle = document.createTextNode("");
  thoughts = h(
    "details",
    { class: "thoughts" },
    h("summary", {}, icon("right"), h("span", {}, this.thoughtsTitle)),
    h("div", { class: "thoughts-text", dir: "auto" }, this.reasoning),
  );
  html = "";
  editing = false;
  /** @type {string | undefined} */
  said;
  /** @type {string | undefined} */
  shownStatus;
  shown = false; // whether it shows its message yet
  /** @type {Comparison | null} */
  comparison = null; // that stands beside it

  /**
   * @param {Held} message
   * @param {Actions} actions
   */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.reply = message.role === "assistant";
    this.beside = hostOf(message); // 0: it is no comparison
    const props = {
      class: `msg ${this.reply ? "reply" : "user"}`,
      "data-id": message.id,
      tabindex: "-1",
      "aria-label": this.reply ? "Reply" : "You",
    };
    const parts = this.reply ? [this.thoughts, this.prose, this.status] : [this.body];
    this.feedback = this.reply && !this.beside ? new FeedbackParts(message, actions) : null;
    this.element = h("article", props, ...parts, this.foot, this.feedback?.place);
  }

  /**
   * Show the whole message.
   * @param {Held} message
   * @param {string} hold why queued replies have to wait, or ""
   */
  update(message, hold) {
    this.message = message;
    this.shown = true;
    this.element.dataset.status = message.status;
    this.element.setAttribute("aria-busy", String(message.status === "streaming"));
    if (this.reply) {
      this.setHtml(message.html);
      message.blocks.length = 0;
      this.showTail(message);
      this.showThoughts(message);
      this.showStatus(message, hold);
    } else if (!this.editing) this.showSaid(message.text);
    this.showFoot(message);
  }

  /**
   * The message has more text or more blocks than before.
   * @param {Held} message
   * @param {string} hold
   */
  grow(message, hold) {
    this.message = message;
    const began =
      this.element.dataset.status !== message.status || this.shownStatus !== statusOf(message, hold);
    if (began) {
      this.update(message, hold);
      return;
    }
    for (const html of message.blocks.splice(0)) this.addHtml(html);
    this.showTail(message);
    this.showThoughts(message);
  }

  /** @param {string} html */
  setHtml(html) {
    if (html === this.html) return;
    if (html.startsWith(this.html)) {
      this.addHtml(html.slice(this.html.length));
      return;
    }
    this.prose.replaceChildren(this.tail.element);
    this.html = "";
    this.addHtml(html);
  }

  /** @param {string} html has been sanitized by the server */
  addHtml(html) {
    const last = this.tail.element.previousElementSibling;
    this.tail.element.insertAdjacentHTML("beforebegin", html);
    const added = [];
    let each = last ? last.nextElementSibling : this.prose.firstElementChild;
    for (; each && each !== this.tail.element; each = each.nextElementSibling) added.push(each);
    paint(added);
    this.html += html;
    this.tail.clear();
  }

  /** @param {Held} message */
  showTail(message) {
    const text = message.text.slice(message.uptoUnits).replace(/^\n+/, "");
    const open = message.status === "streaming";
    if (text || (open && message.text)) this.tail.show(text, { caret: open });
    else this.tail.clear();
    this.tail.element.hidden = !text && !(open && message.text);
  }

  /** @param {Held} message */
  showThoughts(message) {
    const text = message.reasoning;
    this.thoughts.hidden = !text;
    if (!text) return;
    const shown = this.reasoning.data;
    if (text.startsWith(shown)) this.reasoning.appendData(text.slice(shown.length));
    else this.reasoning.data = text;
    const title = thoughtsTitle(message, isOpen(message));
    if (this.thoughtsTitle.data !== title) this.thoughtsTitle.data = title;
  }

  /**
   * @param {Held} message
   * @param {string} hold
   */
  showStatus(message, hold) {
    this.shownStatus = statusOf(message, hold);
    const parts = [];
    if (message.left_out) parts.push(h("p", { class: "note" }, leftOut(message.left_out)));
    for (const { model } of message.handovers) {
      const next = message.status === "queued" ? "waiting to be continued" : `continued by ${message.model}`;
      parts.push(h("p", { class: "chip" }, icon("again"), `Begun by ${model}, ${next}`));
    }
    if (message.status === "queued" || message.status === "awaiting") parts.push(this.waiting(message, hold));
    else if (message.status === "streaming" && !message.text) parts.push(this.waiting(message, ""));
    else if (message.status === "failed") parts.push(this.failure(message));
    this.status.replaceChildren(...parts);
  }

  /**
   * @param {Held} message
   * @param {string} hold
   */
  waiting(message, hold) {
    const words = waiting(message, hold);
    const cancel =
      message.status === "queued" &&
      !this.beside &&
      press("link-button", () => this.actions.stop(message), "Cancel");
    const dots = h("span", { class: "pulse", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
    return h(
      "div",
      { class: hold ? "waiting held" : "waiting" },
      dots,
      h("span", { class: "words" }, words),
      cancel,
    );
  }

  /** @param {Held} message */
  goOn(message) {
    return press("button small go-on", () => this.actions.goOn(message), icon("down"), "Continue");
  }

  /** @param {Held} message */
  failure(message) {
    const goOn = message.continuable && !this.beside && this.goOn(message);
    const again = () => {
      if (this.beside) this.actions.compare(this.beside);
      else this.actions.regenerate(message);
    };
    const retry = press("button small", again, icon("again"), "Retry");
    return h(
      "div",
      { class: "failure", role: "alert" },
      icon("warn"),
      h(
        "div",
        {},
        h("p", {}, message.error || "The reply failed."),
        h("div", { class: "failure-buttons" }, goOn, retry),
      ),
    );
  }

  /** @param {string} text */
  showSaid(text) {
    if (this.said === text && this.body.firstChild) return;
    this.said = text;
    this.body.replaceChildren(...said(text));
    this.body.className = "said";
  }

  /** Its reader's feedback has changed. */
  showFeedback() {
    this.feedback?.show(this.message);
  }

  /** @param {Held} message */
  showFoot(message) {
    this.showFeedback();
    const ended = hasEnded(message);
    const turned = message.versions.count > 1 && this.versions(message, message.versions);
    const buttons = this.buttons(message, ended);
    const actions = buttons.length > 0 && h("span", { class: "actions" }, ...buttons);
    const meta = ended && h("span", { class: "meta" }, ...facts(message).map((part) => h("span", {}, part)));
    const parts = (this.reply ? [turned, actions, meta] : [actions, turned]).filter((part) => part !== false);
    this.foot.replaceChildren(...parts);
    this.foot.hidden = parts.length === 0;
  }

  /**
   * @param {Held} message
   * @param {boolean} ended
   */
  buttons(message, ended) {
    const { actions, beside, reply } = this;
    const well = ended && message.status !== "failed" && !beside;
    const comparable = well && reply && message.text.trim() !== "" && !this.comparison;
    const label = reply ? "Copy the reply" : "Copy";
    const parts = [
      ended &&
        message.text &&
        iconButton("copy", label, (event) => actions.copy(message, event.currentTarget)),
      well && reply && iconButton("again", "Regenerate", () => actions.regenerate(message)),
      comparable && iconButton("compare", "Compare with another model", () => actions.compare(message.id)),
      !reply && !this.editing && iconButton("pencil", "Edit", () => actions.edit(message)),
      ...(ended && message.text.trim() && this.feedback ? this.feedback.buttons : []),
      well && message.continuable && this.goOn(message),
    ];
    return parts.filter((part) => part instanceof Node);
  }

  /**
   * Put a comparison beside the reply, or take it away (null).
   * @param {Comparison | null} comparison
   */
  compare(comparison) {
    if (comparison === this.comparison) return;
    this.comparison?.element.remove();
    this.comparison?.judged.remove();
    this.comparison = comparison;
    if (comparison) this.element.append(comparison.element, comparison.judged);
    this.showFoot(this.message);
  }

  /**
   * @param {Held} message
   * @param {Versions} versions
   */
  versions(message, { index, count: all, ids }) {
    /** @param {number} to */
    const go = (to) => () => this.actions.select(message, ids[to - 1]);
    return h(
      "span",
      { class: "versions", role: "group", "aria-label": "Versions" },
      iconButton("left", "Earlier version", go(index - 1), { disabled: index <= 1 }),
      h("span", { "aria-label": `Version ${index} of ${all}` }, `${index}/${all}`),
      iconButton("right", "Later version", go(index + 1), { disabled: index >= all }),
    );
  }

  /**
   * Turn a person's message into a form.
   * @param {(text: string) => void} save gets the new text
   */
  edit(save) {
    this.editing = true;
    const form = editor(this.message.text, save, () => {
      this.editing = false;
      this.said = undefined;
      this.update(this.message, "");
      this.element.focus({ preventScroll: true });
    });
    this.body.className = "editor";
    this.body.replaceChildren(form.area, form.buttons);
    this.showFoot(this.message);
    form.begin();
  }
}
