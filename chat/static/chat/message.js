// One message on the page. What changes is touched, nothing else: blocks are appended, text nodes grow.

import { paint } from "./colours.js";
import { autosize, h, icon, iconButton } from "./dom.js";
import { count, place, plural, seconds } from "./format.js";
import { onKey } from "./keys.js";
import { isOpen } from "./state.js";
import { Tail } from "./tail.js";

const LONG = 2400;

export class MessageView {
  /** `actions`: what its buttons do, {copy, regenerate, goOn, edit, select, stop}, each called with the message. */
  constructor(message, actions) {
    this.actions = actions;
    this.reply = message.role === "assistant";
    this.element = h("article", { class: `msg ${this.reply ? "reply" : "user"}`, "data-id": message.id, tabindex: "-1" });
    this.element.setAttribute("aria-label", this.reply ? "Reply" : "You");
    this.foot = h("div", { class: "foot" });
    if (this.reply) this.makeReply();
    else this.body = h("div", { class: "said" });
    this.element.append(...(this.reply ? [this.thoughts, this.prose, this.status, this.foot] : [this.body, this.foot]));
  }

  makeReply() {
    this.tail = new Tail();
    this.html = "";
    this.prose = h("div", { class: "prose" }, this.tail.element);
    this.status = h("div", { class: "status" });
    this.reasoning = document.createTextNode("");
    this.thoughtsTitle = document.createTextNode("");
    const summary = h("summary", {}, icon("right"), h("span", {}, this.thoughtsTitle));
    this.thoughts = h("details", { class: "thoughts" }, summary, h("div", { class: "thoughts-text", dir: "auto" }, this.reasoning));
  }

  /** Show the whole message. `hold`: why queued replies have to wait, or "". */
  update(message, hold) {
    this.message = message;
    this.element.dataset.status = message.status;
    this.element.setAttribute("aria-busy", String(message.status === "streaming"));
    if (this.reply) {
      this.setHtml(message.html ?? "");
      message.blocks.length = 0;
      this.showTail(message);
      this.showThoughts(message);
      this.showStatus(message, hold);
    } else if (!this.editing) this.showSaid(message.text);
    this.showFoot(message);
  }

  /** The message has more text or more blocks than before. */
  grow(message, hold) {
    this.message = message;
    const began = this.element.dataset.status !== message.status || this.shownStatus !== statusOf(message, hold);
    if (began) {
      this.update(message, hold);
      return;
    }
    for (const html of message.blocks.splice(0)) this.addHtml(html);
    this.showTail(message);
    this.showThoughts(message);
  }

  setHtml(html) {
    if (html === this.html) return;
    if (html.startsWith(this.html)) {
      this.addHtml(html.slice(this.html.length));
      return;
    }
    while (this.prose.firstChild !== this.tail.element) this.prose.firstChild.remove();
    this.html = "";
    this.addHtml(html);
  }

  /** `html` has been sanitized by the server. */
  addHtml(html) {
    const last = this.tail.element.previousElementSibling;
    this.tail.element.insertAdjacentHTML("beforebegin", html);
    const added = [];
    for (let each = last?.nextElementSibling ?? this.prose.firstElementChild; each !== this.tail.element; each = each.nextElementSibling) added.push(each);
    paint(added);
    this.html += html;
    this.tail.clear();
  }

  showTail(message) {
    const text = message.text.slice(message.uptoUnits).replace(/^\n+/, "");
    const open = message.status === "streaming";
    if (text || (open && message.text)) this.tail.show(text, { caret: open });
    else this.tail.clear();
    this.tail.element.hidden = !text && !(open && message.text);
  }

  showThoughts(message) {
    const text = message.reasoning ?? "";
    this.thoughts.hidden = !text;
    if (!text) return;
    const shown = this.reasoning.data;
    if (text.startsWith(shown)) this.reasoning.appendData(text.slice(shown.length));
    else this.reasoning.data = text;
    const took = message.reasoning_seconds ? `Thought for ${seconds(message.reasoning_seconds)}` : "Thoughts";
    const title = isOpen(message) && !message.text ? "Thinking…" : took;
    if (this.thoughtsTitle.data !== title) this.thoughtsTitle.data = title;
  }

  showStatus(message, hold) {
    this.shownStatus = statusOf(message, hold);
    const parts = [];
    if (message.left_out) parts.push(h("p", { class: "note" }, `The ${plural(message.left_out, "oldest message")} did not fit into the model’s context and ${message.left_out === 1 ? "was" : "were"} left out.`));
    for (const { model } of message.handovers ?? []) {
      const next = message.status === "queued" ? "waiting to be continued" : `continued by ${message.model}`;
      parts.push(h("p", { class: "chip" }, icon("again"), `Begun by ${model}, ${next}`));
    }
    if (message.status === "queued") parts.push(this.waiting(message, hold));
    else if (message.status === "streaming" && !message.text) parts.push(this.waiting(message, ""));
    else if (message.status === "failed") parts.push(this.failure(message));
    this.status.replaceChildren(...parts);
  }

  waiting(message, hold) {
    const words = waitingWords(message, hold);
    const cancel = message.status === "queued" && h("button", { type: "button", class: "link-button", onclick: () => this.actions.stop(message) }, "Cancel");
    const dots = h("span", { class: "pulse", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
    return h("div", { class: hold ? "waiting held" : "waiting" }, dots, h("span", { class: "words" }, words), cancel);
  }

  failure(message) {
    const goOn = message.continuable && h("button", { type: "button", class: "button small go-on", onclick: () => this.actions.goOn(message) }, icon("down"), "Continue");
    const retry = h("button", { type: "button", class: "button small", onclick: () => this.actions.regenerate(message) }, icon("again"), "Retry");
    return h("div", { class: "failure", role: "alert" }, icon("warn"), h("div", {}, h("p", {}, message.error || "The reply failed."), h("div", { class: "failure-buttons" }, goOn, retry)));
  }

  showSaid(text) {
    if (this.said === text && this.body.firstChild) return;
    this.said = text;
    const bubble = h("div", { class: "bubble", dir: "auto" }, text);
    this.body.replaceChildren(bubble);
    this.body.className = "said";
    if (text.length < LONG && text.split("\n").length < 24) return;
    bubble.classList.add("clipped");
    const unfold = h("button", { type: "button", class: "unfold", "aria-expanded": "false" }, "Show all");
    unfold.addEventListener("click", () => {
      const clipped = bubble.classList.toggle("clipped");
      unfold.textContent = clipped ? "Show all" : "Show less";
      unfold.setAttribute("aria-expanded", String(!clipped));
    });
    this.body.append(unfold);
  }

  /** A reply as a word processor takes it: HTML without what only serves this page. */
  formatted() {
    if (!this.reply) return "";
    const copy = this.prose.cloneNode(true);
    for (const part of copy.querySelectorAll(".tail, .code-head")) part.remove();
    for (const box of copy.querySelectorAll("input[type=checkbox]")) box.replaceWith(box.checked ? "☑" : "☐");
    for (const code of copy.querySelectorAll("pre code")) code.textContent = code.textContent; // without its colours
    for (const frame of copy.querySelectorAll("div.code, div.table")) frame.replaceWith(...frame.childNodes);
    for (const part of copy.querySelectorAll("[class], [tabindex]")) for (const name of ["class", "tabindex"]) part.removeAttribute(name);
    return copy.innerHTML.trim();
  }

  showFoot(message) {
    const parts = [];
    const ended = !isOpen(message);
    const versions = message.versions;
    const turned = versions?.count > 1 && this.versions(message, versions);
    if (turned && this.reply) parts.push(turned);
    const actions = h("span", { class: "actions" });
    if (ended && message.text) actions.append(iconButton("copy", this.reply ? "Copy the reply" : "Copy", (event) => this.actions.copy(message, event.currentTarget)));
    if (ended && this.reply && message.status !== "failed") actions.append(iconButton("again", "Regenerate", () => this.actions.regenerate(message)));
    if (!this.reply && !this.editing) actions.append(iconButton("pencil", "Edit", () => this.actions.edit(message)));
    if (actions.childElementCount) parts.push(actions);
    if (turned && !this.reply) parts.push(turned);
    if (ended && message.continuable && message.status !== "failed") actions.append(h("button", { type: "button", class: "button small go-on", onclick: () => this.actions.goOn(message) }, icon("down"), "Continue"));
    if (ended && this.reply) parts.push(meta(message));
    this.foot.replaceChildren(...parts);
    this.foot.hidden = parts.length === 0;
  }

  versions(message, { index, count: all, ids }) {
    const go = (to) => () => this.actions.select(message, ids[to - 1]);
    return h(
      "span",
      { class: "versions", role: "group", "aria-label": "Versions" },
      iconButton("left", "Earlier version", go(index - 1), { disabled: index <= 1 }),
      h("span", { "aria-label": `Version ${index} of ${all}` }, `${index}/${all}`),
      iconButton("right", "Later version", go(index + 1), { disabled: index >= all }),
    );
  }

  /** Turn a person's message into a form; `save(text)` gets the new text. */
  edit(save) {
    this.editing = true;
    const area = h("textarea", { rows: "1", dir: "auto", "aria-label": "Edit your message" });
    area.value = this.message.text;
    const done = () => {
      this.editing = false;
      this.said = undefined;
      this.update(this.message, "");
      this.element.focus({ preventScroll: true });
    };
    const submit = () => {
      const text = area.value.trim();
      if (text && text !== this.message.text) save(text);
      if (text) done();
    };
    area.addEventListener("input", () => autosize(area));
    onKey(area, (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        done();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        submit();
      }
    });
    const cancel = h("button", { type: "button", class: "button small", onclick: done }, "Cancel");
    const send = h("button", { type: "button", class: "button small primary", onclick: submit }, "Send");
    this.body.className = "editor";
    this.body.replaceChildren(area, h("div", { class: "dialog-actions" }, cancel, send));
    this.showFoot(this.message);
    autosize(area);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

/** A message that the server has not acknowledged. `actions`: {again, discard}, called with the frame. */
export function pendingView(frame, connected, actions) {
  const note = frame.refused
    ? h(
        "p",
        { class: "note bad", role: "alert" },
        `Not sent: ${frame.refused}`,
        h("button", { type: "button", class: "link-button", onclick: () => actions.again(frame) }, "Try again"),
        h("button", { type: "button", class: "link-button", onclick: () => actions.discard(frame) }, "Take back"),
      )
    : h("p", { class: "note" }, connected ? "Sending…" : "Not sent yet: it goes out when the connection is back.");
  const state = frame.refused ? "msg user refused" : "msg user pending";
  return h("article", { class: state, "data-client": frame.client_id, "aria-label": "You" }, h("div", { class: "bubble", dir: "auto" }, frame.text), note);
}

function waitingWords(message, hold) {
  if (message.status !== "queued") return "";
  const line = message.queue_position > 1 ? place(message.queue_position) : "";
  return [hold, line].filter(Boolean).join(" · ") || message.reason || "Waiting for its turn";
}

/** What the status of a reply depends on, as one string. */
function statusOf(message, hold) {
  const started = Boolean(message.text);
  return [message.status, message.status === "queued" ? waitingWords(message, hold) : "", started, message.model, message.handovers?.length ?? 0].join("|");
}

function meta(message) {
  const usage = message.usage ?? {};
  const parts = [];
  if (message.model) parts.push(message.model);
  if (message.status === "stopped") parts.push("stopped");
  if (message.finish_reason === "length") parts.push("cut at the longest reply allowed");
  if (message.finish_reason === "max_chars") parts.push("ended here: it reached the most characters that a reply may have");
  if (usage.completion_tokens) parts.push(`${count(usage.completion_tokens)} tokens`);
  if (typeof usage.tokens_per_second === "number") parts.push(`${usage.tokens_per_second.toFixed(1)} tokens/s`);
  if (typeof usage.seconds === "number") parts.push(seconds(usage.seconds));
  return h("span", { class: "meta" }, ...parts.map((part) => h("span", {}, part)));
}
