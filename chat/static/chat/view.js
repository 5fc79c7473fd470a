// @ts-check
// The list of messages: keyed views, drawn at most once a frame.

import { described } from "./backend.js";
import { byId, h } from "./dom.js";
import { Comparison } from "./comparison.js";
import { MessageView } from "./message.js";
import { pendingView } from "./pending.js";
import { Place } from "./place.js";
import { comparisonWith, hostOf, isOpen, shown } from "./state.js";

/**
 * @import { KeptFrame } from "../shared/types.d.ts"
 * @import { Actions as OfMessages } from "./message.js"
 * @import { Outbox } from "./outbox.js"
 * @import { Actions as OfPending } from "./pending.js"
 * @import { Change, Held, State } from "./state.js"
 */

/** @typedef {OfMessages & OfPending & {earlier: () => void}} Actions */

export class View {
  /** @type {Map<number, MessageView>} */
  views = new Map();
  /** @type {{key: string, element: HTMLElement}[]} */
  pending = [];
  /** @type {Map<number, "grown" | "message">} */
  dirty = new Map();
  /** @type {number | null} */
  frame = null;
  whole = false;
  connected = false;
  reached = true; // by what was called last

  /**
   * @param {State} state
   * @param {Outbox} outbox
   * @param {Actions} actions
   */
  constructor(state, outbox, actions) {
    this.state = state;
    this.outbox = outbox;
    this.actions = actions;
    this.list = byId("messages");
    this.scroller = byId("scroller");
    this.place = new Place(this.scroller, byId("column"), byId("jump"));
    this.earlier = byId("earlier");
    const near = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && actions.earlier(),
      { root: this.scroller, rootMargin: "600px 0px 0px" },
    );
    near.observe(this.earlier);
  }

  /**
   * Take a change from `apply`; it is shown with the next frame.
   * @param {Change} change
   */
  change(change) {
    const { what } = change;
    if (what === "all") this.whole = true;
    if (what === "backend") {
      for (const { id, status } of this.state.messages.values()) {
        if (status === "queued") this.dirty.set(id, "message");
      }
    }
    if (what === "feedback") this.views.get(change.id)?.showFeedback();
    if (what === "message" || (what === "grown" && !this.dirty.has(change.id)))
      this.dirty.set(change.id, what);
    this.schedule();
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const hold = described(this.state.backend).hold;
    if (this.whole) this.keepPlace(() => this.drawAll(hold));
    else for (const [id, what] of this.dirty) this.drawOne(id, what, hold);
    this.whole = false;
    this.dirty.clear();
    this.drawPending();
    this.place.keep();
  }

  /**
   * Leave what the reader looks at where it is, whatever is put in front of it.
   * @param {() => void} draw
   */
  keepPlace(draw) {
    const seen = this.place.sticking.on
      ? undefined
      : [...this.views.values()].find((view) => view.element.getBoundingClientRect().bottom > 60)?.element;
    const before = seen?.getBoundingClientRect().top ?? 0;
    this.scroller.style.overflowAnchor = "none"; // the browser would do the same once more
    draw();
    if (seen?.isConnected) this.scroller.scrollTop += seen.getBoundingClientRect().top - before;
    requestAnimationFrame(() => this.scroller.style.removeProperty("overflow-anchor"));
  }

  /** @param {string} hold */
  drawAll(hold) {
    const here = new Set(this.state.order);
    for (const [id, view] of this.views) {
      if (here.has(id)) continue;
      view.element.remove();
      this.views.delete(id);
    }
    this.list.querySelector(".skeleton")?.remove();
    /** @type {HTMLElement | null} */
    let before = null;
    for (const message of shown(this.state)) {
      const view = this.viewOf(message);
      this.announce(view, message);
      view.update(message, hold);
      this.drawComparison(view, hold);
      /** @type {ChildNode | null} */
      const next = before ? before.nextSibling : this.list.firstChild;
      if (next !== view.element) this.list.insertBefore(view.element, next);
      before = view.element;
    }
    this.earlier.hidden = !this.state.earlier;
  }

  /**
   * @param {number} id
   * @param {"grown" | "message"} what
   * @param {string} hold
   */
  drawOne(id, what, hold) {
    const message = this.state.messages.get(id);
    if (!message) return;
    if (hostOf(message)) {
      const host = this.views.get(hostOf(message));
      if (what === "grown" && host?.comparison) host.comparison.view.grow(message, hold);
      else if (host) this.drawComparison(host, hold);
      return;
    }
    const known = this.views.has(id);
    const view = this.viewOf(message);
    if (!known) this.list.insertBefore(view.element, this.pending[0]?.element ?? null);
    if (known && what === "grown") {
      view.grow(message, hold);
      return;
    }
    this.announce(view, message);
    view.update(message, hold);
  }

  /**
   * Show what stands beside a reply; a comparison that was stopped before it began does not.
   * @param {MessageView} view of the reply
   * @param {string} hold
   */
  drawComparison(view, hold) {
    const found = comparisonWith(this.state, view.message.id);
    const message = found?.status === "stopped" && !found.text ? undefined : found;
    if (!message) {
      view.compare(null);
      return;
    }
    const known = view.comparison?.view.message.id === message.id ? view.comparison : null;
    const comparison = known ?? new Comparison(message, this.actions);
    this.announce(comparison.view, message);
    comparison.update(message, view.message, hold);
    view.compare(comparison);
  }

  /** @param {Held} message */
  viewOf(message) {
    let view = this.views.get(message.id);
    if (!view) {
      view = new MessageView(message, this.actions);
      this.views.set(message.id, view);
    }
    return view;
  }

  /**
   * The view of a message, or of a comparison beside one, if it is shown.
   * @param {Held} message
   */
  find(message) {
    return this.views.get(message.id) ?? this.views.get(hostOf(message))?.comparison?.view;
  }

  /**
   * Tell those who listen instead of looking when a reply has ended.
   * @param {MessageView} view
   * @param {Held} message
   */
  announce(view, message) {
    if (!view.shown || !isOpen(view.message) || isOpen(message) || !view.reply) return;
    const ends = { complete: "Reply finished", stopped: "Reply stopped", failed: "Reply failed" };
    const words = ends[/** @type {keyof typeof ends} */ (message.status)];
    byId("announcer").textContent = `${words}: ${(message.error || message.text).slice(0, 400)}`;
  }

  drawPending() {
    const frames = this.outbox.frames.filter((frame) => frame.type === "send");
    const connected = this.connected && this.reached;
    /** @param {KeptFrame} frame */
    const key = (frame) => `${frame.client_id} ${frame.refused ?? ""} ${connected}`;
    const old = new Map(this.pending.map((each) => [each.key, each]));
    const next = frames.map(
      (frame) =>
        old.get(key(frame)) ?? { key: key(frame), element: pendingView(frame, connected, this.actions) },
    );
    for (const each of this.pending) if (!next.includes(each)) each.element.remove();
    for (const each of next)
      if (each.element !== this.list.lastChild || next.length > 1) this.list.append(each.element);
    this.pending = next;
  }

  /** Show that messages are being fetched. */
  skeleton() {
    this.list.append(h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")));
  }

  toEnd() {
    this.place.toEnd();
  }
}
