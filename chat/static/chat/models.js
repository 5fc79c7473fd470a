// @ts-check
// The dialog behind the model's name: what is loaded, in the administrators' words, and what could be.

import { call, words } from "./api.js";
import { described } from "./backend.js";
import { byId, find, h } from "./dom.js";
import { onKey } from "./keys.js";
import { when } from "./requests.js";

/**
 * @import { Backend, ModelRequest, Offered, Switch } from "../shared/types.d.ts"
 * @import { Requests } from "./requests.js"
 */

const LONGEST = 300; // characters of a reason
const MANY = 8; // models that can be looked over without a filter

export class Models {
  /** @type {Backend | null} */
  backend = null;
  /** @type {Map<string, Row>} */
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
    const { about = null, model = "", context = null } = this.backend ?? {};
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
        row = new Row(this, model);
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

class Row {
  /** @type {ModelRequest | undefined} */
  request;
  busy = false;
  shown = "";

  /**
   * @param {Models} models
   * @param {Offered} model
   */
  constructor(models, model) {
    this.models = models;
    this.model = model;
    this.words = h("div", { class: "offer-words" });
    this.buttons = h("div", { class: "offer-buttons" });
    this.element = h("li", { class: "offer" }, this.words, this.buttons);
  }

  /**
   * @param {Offered} model
   * @param {ModelRequest | undefined} request
   * @param {Switch | null} running
   */
  show(model, request, running) {
    this.model = model;
    this.request = request;
    const loading = running?.target === model.id;
    const shown = JSON.stringify([model, request, loading, Boolean(running)]);
    if (shown === this.shown) return;
    this.shown = shown;
    const facts = [model.name !== model.id && model.id, model.size].filter(Boolean).join(" · ");
    const parts = [
      h("h3", {}, model.name),
      facts && h("p", { class: "facts" }, facts),
      tags(model.tags),
      model.notes && h("p", { class: "notes" }, model.notes),
      request && asked(request),
    ];
    this.words.replaceChildren(...parts.filter((part) => part instanceof Node));
    const focused = this.buttons.contains(document.activeElement);
    this.buttons.replaceChildren(
      ...(loading ? [h("span", { class: "facts" }, "Loading now…")] : this.controls(running)),
    );
    if (focused) find(this.buttons, "button, a")?.focus();
  }

  /** @param {Switch | null} running */
  controls(running) {
    const { model, request } = this;
    if (running && (model.switch_url || this.models.maySwitch)) return [];
    const label = `Switch to ${model.name}…`;
    if (model.switch_url) {
      return [h("a", { class: "button small", href: model.switch_url, "aria-label": label }, "Switch…")];
    }
    if (this.models.maySwitch) return [button("Switch…", label, () => this.confirm())];
    if (!request) return [button("Ask for it", `Ask for ${model.name}`, () => this.ask())];
    return [
      button("Change", `Change the reason of asking for ${model.name}`, () => this.ask()),
      button("Withdraw", `Withdraw the request for ${model.name}`, () =>
        this.attempt(
          () => this.models.requests.withdraw(request),
          (problem) => this.models.say(problem),
        ),
      ),
    ];
  }

  ask() {
    const area = h("textarea", {
      rows: 2,
      dir: "auto",
      maxlength: LONGEST,
      id: "reason",
      "aria-describedby": "reason-help",
    });
    area.value = this.request?.reason ?? "";
    const fields = [
      h("label", { for: "reason" }, `Why ${this.model.name}?`),
      h("p", { class: "help", id: "reason-help" }, "A few words for the administrators; may be left empty."),
      area,
    ];
    this.form(fields, this.request ? "Save" : "Send request", async () =>
      this.models.say(await this.models.requests.ask(this.model.id, area.value)),
    );
    area.focus();
    area.form?.scrollIntoView({ block: "nearest" });
  }

  /** Who may switch but not enter the admin site is asked here. */
  confirm() {
    const help =
      "It will answer everybody from then on. " +
      "Replies in flight get a moment to finish; messages sent meanwhile wait.";
    const form = this.form([h("p", { class: "help" }, help)], "Switch", async () => {
      await call("POST", "/admin/models/switch", { model_id: this.model.id }, { Prefer: "respond-async" });
      this.models.dialog.close();
    });
    form.querySelector("button")?.focus();
  }

  /**
   * @param {HTMLElement[]} fields
   * @param {string} verb
   * @param {() => Promise<void>} act
   */
  form(fields, verb, act) {
    for (const open of this.models.list.querySelectorAll("form")) open.remove();
    const problem = h("p", { class: "alert bad", role: "alert", hidden: true });
    const send = h("button", { class: "button small primary", type: "submit" }, verb);
    const close = () => {
      form.remove();
      find(this.buttons, "button, a")?.focus();
    };
    const form = h(
      "form",
      { class: "offer-form" },
      ...fields,
      problem,
      h("div", { class: "offer-buttons" }, send, button("Cancel", null, close)),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.attempt(
        () => act().then(close),
        (text) => {
          problem.textContent = text;
          problem.hidden = false;
        },
      );
    });
    onKey(form, (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // the form goes, the dialog stays
      event.stopPropagation();
      close();
    });
    this.element.append(form);
    return form;
  }

  /**
   * Do something, and not again before it is done. Buttons stay enabled: one that is disabled loses the focus.
   * @param {() => Promise<void>} act
   * @param {(problem: string) => void} failed
   */
  async attempt(act, failed) {
    if (this.busy) return;
    this.busy = true;
    this.models.say("");
    try {
      await act();
    } catch (error) {
      failed(words(error));
    } finally {
      this.busy = false;
    }
  }
}

/** @param {ModelRequest} request */
function asked({ asked_at, reason }) {
  const parts = reason ? [": “", h("bdi", {}, reason), "”"] : [];
  return h("p", { class: "asked" }, `You asked for it (${when(asked_at)})`, ...parts);
}

/**
 * @param {string} text
 * @param {string | null} label
 * @param {() => void} onclick
 */
function button(text, label, onclick) {
  return h("button", { type: "button", class: "button small", "aria-label": label, onclick }, text);
}

/** @param {string[] | undefined} words */
function tags(words) {
  return words?.length
    ? h("ul", { class: "tags", "aria-label": "Good for" }, ...words.map((each) => h("li", {}, each)))
    : null;
}
