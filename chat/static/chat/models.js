// @ts-check
// The dialog behind the model's name: what is loaded, in the administrators' words, and what could be.

import { words } from "./api.js";
import { described } from "./backend.js";
import { byId, h } from "./dom.js";
import { ModelRow, tags } from "./model_row.js";

/**
 * @import { Backend, Offered } from "../shared/types.d.ts"
 * @import { Requests } from "./requests.js"
 */

const MANY = 8; // models that can be looked over without a filter

export class Models {
  /** @type {Backend | null} */
  backend = null;
  /** @type {Map<string, ModelRow>} */
  rows = new Map();
  /** @type {Offered[] | null} */
  offered = null;

  /**
   * @param {Requests} requests what this user has asked for
   * @param {boolean} maySwitch they need not ask
   */
  constructor(requests, maySwitch) {
    this.requests = requests;
    this.maySwitch = maySwitch;
    this.dialog = byId("models", HTMLDialogElement);
    this.now = byId("models-now");
    this.list = byId("models-list");
    this.filter = byId("models-filter", HTMLInputElement);
    byId("model").addEventListener("click", () => this.open());
    byId("models-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => this.forget());
    this.filter.addEventListener("input", () => this.sift());
  }

  open() {
    if (this.dialog.open) return;
    this.tell("Looking up the models…");
    this.showNow();
    this.dialog.showModal();
    this.fetch();
  }

  forget() {
    this.rows.clear();
    this.list.replaceChildren();
    this.offered = null;
    this.filter.value = "";
    this.filter.hidden = true;
    this.say("");
  }

  /**
   * What the server's model does has changed.
   * @param {Backend | null} backend
   */
  take(backend) {
    const before = this.backend;
    this.backend = backend;
    if (!this.dialog.open) return;
    this.showNow();
    if (before?.model === backend?.model) this.draw();
    else this.fetch();
  }

  /** Whether another server answers while one of them is changed. */
  othersAnswer() {
    const servers = this.backend?.servers ?? [];
    return servers.filter((each) => each.state === "ready" && !each.out_of_service_since).length > 1;
  }

  /** Models have come or gone, or what is noted about them has changed. */
  refresh() {
    if (this.dialog.open) this.fetch();
  }

  async fetch() {
    try {
      this.offered = await this.requests.offered();
    } catch (error) {
      this.tell(words(error));
      return;
    }
    this.draw();
  }

  /**
   * Instead of the list.
   * @param {string} text
   */
  tell(text) {
    byId("models-empty").textContent = text;
  }

  /**
   * What came of something: a toast would be behind the dialog.
   * @param {string} text
   */
  say(text) {
    const said = byId("models-said");
    said.textContent = text;
    said.hidden = !text;
  }

  showNow() {
    const { about = null, model = "", context = null, rollout = null } = this.backend ?? {};
    const { state, name, detail } = described(this.backend);
    this.now.dataset.state = state;
    if (state !== "ready") {
      const next =
        state === "unloaded" &&
        (this.maySwitch
          ? "Load one of these."
          : "Messages wait until an administrator loads one: ask for the one you need.");
      this.now.replaceChildren(h("h3", {}, name), h("p", { class: "facts" }, next || detail));
      return;
    }
    const facts = [
      about && about.name !== model && model,
      about?.size,
      context && `${context.toLocaleString("en")} tokens of context`,
    ];
    const notes = about?.notes && h("p", { class: "notes" }, about.notes);
    const parts = [
      h("h3", {}, name),
      h("p", { class: "facts" }, facts.filter(Boolean).join(" · ")),
      tags(about?.tags),
      notes,
      rollout && h("ul", { class: "facts rollout" }, ...rollout.lines.map(({ text }) => h("li", {}, text))),
    ];
    this.now.replaceChildren(...parts.filter((part) => part instanceof Node));
  }

  draw() {
    if (!this.offered) return;
    const others = this.offered.filter((each) => each.id !== this.backend?.model);
    const shown = new Set(others.map((each) => each.id));
    for (const [id, row] of this.rows) {
      if (shown.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    for (const model of others) {
      let row = this.rows.get(model.id);
      if (!row) {
        row = new ModelRow(this, model);
        this.rows.set(model.id, row);
        this.list.append(row.element);
      }
      row.show(model, this.requests.open(model.id), this.backend?.switch ?? null);
    }
    this.filter.hidden = others.length <= MANY && !this.filter.value;
    this.tell(others.length ? "" : "There are no other models.");
    this.sift();
  }

  sift() {
    const wanted = this.filter.value.trim().toLowerCase();
    for (const { element, model } of this.rows.values()) {
      element.hidden = ![model.name, model.id, ...model.tags].some((each) =>
        each.toLowerCase().includes(wanted),
      );
    }
  }
}
