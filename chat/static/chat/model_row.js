// @ts-check
// One model in the dialog of models: its facts, and what this user may do about it: ask for it, or switch to it.

import { call, words } from "./api.js";
import { find, h } from "./dom.js";
import { onKey } from "./keys.js";
import { when } from "./requests.js";

/**
 * @import { ModelRequest, Offered, Switch } from "../shared/types.d.ts"
 * @import { Models } from "./models.js"
 */

const LONGEST = 300; // characters of a reason

export class ModelRow {
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
      (this.models.othersAnswer()
        ? "One server is changed at a time, and the others answer meanwhile."
        : "Replies in flight get a moment to finish; messages sent meanwhile wait.");
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
export function tags(words) {
  return words?.length
    ? h("ul", { class: "tags", "aria-label": "Good for" }, ...words.map((each) => h("li", {}, each)))
    : null;
}
