// @ts-check
// What the reader says of a reply: two thumbs, and below them a form for words and for showing the exchange.

import { words } from "./api.js";
import { h, iconButton, press } from "./dom.js";
import { onKey } from "./keys.js";
import { isOpen } from "./state.js";
import { toast } from "./toast.js";

/**
 * @import { Thumbs } from "../shared/types.d.ts"
 * @import { Held } from "./state.js"
 */

/**
 * `rate` keeps what is said, or takes it back (null), or throws an Error. `asked`: the question, or "".
 * @typedef {object} Rating
 * @property {(message: Held, said: Said | null) => Promise<void>} rate
 * @property {(message: Held) => string} asked
 */

/** @typedef {{thumb: Thumbs, words: string, attach: boolean}} Said */

const LONGEST = 500;
const THUMBS = /** @type {const} */ (["up", "down"]);
const LABELS = { up: "Good reply", down: "Bad reply" };
const QUESTIONS = { up: "What was good about it? (optional)", down: "What was wrong with it? (optional)" };
const PROMISE = [
  "Administrators see the thumb, the model and your words, not who you are.",
  "If you delete the conversation, these stay, and what is attached goes.",
].join(" ");

export class FeedbackParts {
  place = h("div", { class: "feedback" }); // below the reply's foot
  /** @type {HTMLFormElement | null} */
  form = null;

  /**
   * @param {Held} message
   * @param {Rating} actions
   */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.buttons = THUMBS.map((thumb) =>
      iconButton(thumb === "up" ? "good" : "bad", LABELS[thumb], () => this.press(thumb), {
        "aria-pressed": "false",
      }),
    );
  }

  /** @param {Held} message */
  show(message) {
    this.message = message;
    const given = message.feedback;
    for (const [at, button] of this.buttons.entries())
      button.setAttribute("aria-pressed", String(given?.thumb === THUMBS[at]));
    if (!given || isOpen(message)) this.form = null;
    if (this.form) return;
    this.place.replaceChildren(...(given && !isOpen(message) ? [this.line()] : []));
  }

  /** What was said, and what can be done about it. */
  line() {
    const { words: said, attached } = this.message.feedback ?? { words: "", attached: false };
    return h(
      "p",
      { class: "note" },
      said && h("span", { class: "feedback-said", dir: "auto" }, `“${said}”`),
      attached && h("span", {}, "shown with this question and reply"),
      press("link-button", () => this.open(), said || attached ? "Change" : "Add words"),
      press("link-button", () => this.say(null, "Your feedback is taken back."), "Take back"),
    );
  }

  /** @param {Thumbs} thumb */
  async press(thumb) {
    const given = this.message.feedback;
    if (given?.thumb === thumb) {
      await this.say(null, "Your feedback is taken back.");
      return;
    }
    const said = { thumb, words: given?.words ?? "", attach: given?.attached ?? false };
    if (await this.say(said, "Thank you. Below the reply you can say why.")) this.open(false);
  }

  /**
   * Have it kept, and tell; returns whether it was.
   * @param {Said | null} said
   * @param {string} done
   */
  async say(said, done) {
    const held = this.place.contains(document.activeElement);
    try {
      await this.actions.rate(this.message, said);
    } catch (error) {
      toast(words(error));
      return false;
    }
    if (held && !this.place.contains(document.activeElement)) this.button().focus();
    toast(done, null, 3000);
    return true;
  }

  /** The button of the thumb that was given, else the first. */
  button() {
    return this.buttons[this.message.feedback?.thumb === "down" ? 1 : 0];
  }

  open(focus = true) {
    const given = this.message.feedback;
    if (!given) return;
    const id = `feedback-${this.message.id}`;
    const area = h("textarea", { id, rows: "2", dir: "auto", maxlength: LONGEST });
    area.value = given.words;
    const shown = h("div", { class: "feedback-shown", hidden: !given.attached });
    const tick = h("input", {
      type: "checkbox",
      checked: given.attached,
      onchange: () => this.preview(shown, tick.checked),
    });
    this.preview(shown, given.attached);
    const asked = this.actions.asked(this.message);
    this.form = h(
      "form",
      { class: "feedback-form", "aria-label": "Your feedback on this reply" },
      h("label", { for: id }, QUESTIONS[given.thumb]),
      area,
      asked && h("label", { class: "tick" }, tick, "Show the administrators this question and this reply"),
      shown,
      h("p", { class: "help" }, PROMISE),
      h(
        "div",
        { class: "dialog-actions" },
        press("button small", () => this.close(), "Close"),
        h("button", { type: "submit", class: "button small primary" }, "Save"),
      ),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save(area.value, tick.checked);
    });
    onKey(this.form, (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
    this.place.replaceChildren(this.form);
    if (focus) area.focus();
    this.form.scrollIntoView({ block: "nearest" });
  }

  /**
   * Show exactly what the administrators would be shown.
   * @param {HTMLElement} place
   * @param {boolean} attached
   */
  preview(place, attached) {
    place.hidden = !attached;
    if (!attached) return;
    const parts = [
      ["Question", this.actions.asked(this.message)],
      ["Reply", this.message.text],
    ];
    const shown = parts.map(([title, text]) =>
      h(
        "section",
        { "aria-label": title },
        h("h3", {}, title),
        h("div", { dir: "auto", tabindex: "0" }, text),
      ),
    );
    place.replaceChildren(h("p", {}, "They are shown this, and nothing else of the conversation:"), ...shown);
  }

  /**
   * @param {string} said
   * @param {boolean} attach
   */
  async save(said, attach) {
    const given = this.message.feedback;
    if (!given) return;
    const form = this.form;
    if (!(await this.say({ thumb: given.thumb, words: said, attach }, "Saved."))) return;
    if (this.form === form) this.close();
  }

  close() {
    this.form = null;
    this.show(this.message);
    this.button().focus();
  }
}
