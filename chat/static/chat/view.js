// The list of messages: keyed views, drawn at most once a frame.

import { byId, h } from "./dom.js";
import { described } from "./backend.js";
import { MessageView, pendingView } from "./message.js";
import { Place } from "./place.js";
import { isOpen } from "./state.js";

export class View {
  constructor(state, outbox, actions) {
    Object.assign(this, { state, outbox, actions });
    this.list = byId("messages");
    this.scroller = byId("scroller");
    this.views = new Map();
    this.pending = [];
    this.dirty = new Map(); // id → "grown" | "message"
    this.whole = false;
    this.connected = false;
    this.reached = true; // by what was called last
    this.place = new Place(this.scroller, byId("column"), byId("jump"));
    this.earlier = byId("earlier");
    const near = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && actions.earlier(), { root: this.scroller, rootMargin: "600px 0px 0px" });
    near.observe(this.earlier);
  }

  /** Take a change from `apply`; it is shown with the next frame. */
  change({ what, id }) {
    if (what === "all" || what === "backend") this.whole ||= what === "all";
    if (what === "backend") for (const message of this.state.messages.values()) if (message.status === "queued") this.dirty.set(message.id, "message");
    if (what === "message" || (what === "grown" && !this.dirty.has(id))) this.dirty.set(id, what);
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

  /** Leave what the reader looks at where it is, whatever is put in front of it. */
  keepPlace(draw) {
    const seen = this.place.sticking ? null : [...this.views.values()].find((view) => view.element.getBoundingClientRect().bottom > 60)?.element;
    const before = seen?.getBoundingClientRect().top;
    this.scroller.style.overflowAnchor = "none"; // the browser would do the same once more
    draw();
    if (seen?.isConnected) this.scroller.scrollTop += seen.getBoundingClientRect().top - before;
    requestAnimationFrame(() => (this.scroller.style.overflowAnchor = ""));
  }

  drawAll(hold) {
    const shown = new Set(this.state.order);
    for (const [id, view] of this.views) {
      if (shown.has(id)) continue;
      view.element.remove();
      this.views.delete(id);
    }
    this.list.querySelector(".skeleton")?.remove();
    let before = null;
    for (const id of this.state.order) {
      const message = this.state.messages.get(id);
      const view = this.viewOf(message);
      this.announce(view, message);
      view.update(message, hold);
      const next = before ? before.nextSibling : this.list.firstChild;
      if (next !== view.element) this.list.insertBefore(view.element, next);
      before = view.element;
    }
    this.earlier.hidden = !this.state.earlier;
  }

  drawOne(id, what, hold) {
    const message = this.state.messages.get(id);
    if (!message) return;
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

  viewOf(message) {
    let view = this.views.get(message.id);
    if (!view) {
      view = new MessageView(message, this.actions);
      this.views.set(message.id, view);
    }
    return view;
  }

  /** Tell those who listen instead of looking when a reply has ended. */
  announce(view, message) {
    const was = view.message;
    if (!was || !isOpen(was) || isOpen(message) || message.role !== "assistant") return;
    const words = { complete: "Reply finished", stopped: "Reply stopped", failed: "Reply failed" }[message.status];
    byId("announcer").textContent = `${words}: ${(message.error || message.text).slice(0, 400)}`;
  }

  drawPending() {
    const frames = this.outbox.frames.filter((frame) => frame.type === "send");
    const connected = this.connected && this.reached;
    const key = (frame) => `${frame.client_id} ${frame.refused ?? ""} ${connected}`;
    const old = new Map(this.pending.map((each) => [each.key, each]));
    const next = frames.map((frame) => old.get(key(frame)) ?? { key: key(frame), element: pendingView(frame, connected, this.actions) });
    for (const each of this.pending) if (!next.includes(each)) each.element.remove();
    for (const each of next) if (each.element !== this.list.lastChild || next.length > 1) this.list.append(each.element);
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
