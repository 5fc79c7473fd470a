// @ts-check
// What this user has asked for: the requests that are open, and a notice of each that has ended until it is put away.

import { call, words } from "./api.js";
import { byId, h, iconButton } from "./dom.js";
import { clock, shortDate } from "./format.js";
import { toast } from "./toast.js";

/** @import { ModelRequest, Offered } from "../shared/types.d.ts" */

const PATH = "/models/requests";

export class Requests {
  /** @type {ModelRequest[]} */
  all = [];
  /** @type {Map<string, HTMLElement>} */
  notices = new Map(); // what is shown, by its words: nothing is announced twice
  onchange = () => {};

  /** @param {() => string} loaded the id of the loaded model, or "" */
  constructor(loaded) {
    this.loaded = loaded;
    this.element = byId("notices");
  }

  /**
   * The whole state, from the socket or the API.
   * @param {ModelRequest[]} all
   */
  take(all) {
    this.all = all;
    this.draw();
    this.onchange();
  }

  /**
   * The open request for a model, or undefined.
   * @param {string} model
   */
  open(model) {
    return this.all.find((each) => each.model === model && each.state === "open");
  }

  get anyOpen() {
    return this.all.findLast((each) => each.state === "open");
  }

  /**
   * The models that can be asked for.
   * @returns {Promise<Offered[]>}
   */
  async offered() {
    const { models, requests } = await call("GET", PATH);
    this.take(requests);
    return models;
  }

  /**
   * Ask for a model, or change the reason; returns what to tell the user.
   * @param {string} model
   * @param {string} reason
   * @returns {Promise<string>}
   */
  async ask(model, reason) {
    const { request, detail } = await call("POST", PATH, { model_id: model, reason });
    if (request) this.take([...this.all.filter((each) => each.id !== request.id), request]);
    return detail;
  }

  /** @param {ModelRequest} request */
  async withdraw(request) {
    await call("DELETE", `${PATH}/${request.id}`);
    this.take(this.all.filter((each) => each !== request && each.id !== request.id));
  }

  /** @param {ModelRequest} request */
  async putAway(request) {
    try {
      await call("POST", `${PATH}/${request.id}/seen`);
    } catch (error) {
      toast(words(error));
      return;
    }
    this.take(this.all.filter((each) => each.id !== request.id));
    (this.element.querySelector("button") ?? byId("composer-text")).focus();
  }

  draw() {
    const ended = this.all.filter((each) => each.state !== "open");
    const shown = new Map(ended.map((each) => [`${each.id} ${ending(each, this.loaded()).join("")}`, each]));
    for (const [key, element] of this.notices) {
      if (shown.has(key)) continue;
      element.remove();
      this.notices.delete(key);
    }
    for (const [key, request] of shown) {
      if (this.notices.has(key)) continue;
      const element = this.notice(request);
      this.notices.set(key, element);
      this.element.append(element);
    }
  }

  /** @param {ModelRequest} request */
  notice(request) {
    const [before, said, after] = ending(request, this.loaded());
    const away = iconButton(
      "close",
      `Put away the notice about ${request.name}`,
      () => this.putAway(request),
      { title: "Put away" },
    );
    const tone = request.state === "granted" ? "good" : "plain";
    return h(
      "div",
      { class: `answered ${tone}` },
      h("p", {}, before, said && h("bdi", {}, said), after),
      away,
    );
  }
}

/**
 * How a request ended: [words, what an administrator said, words]
 * @param {ModelRequest} request
 * @param {string} loaded the id of the loaded model
 * @returns {[string, string, string]}
 */
function ending({ state, name, model, answer, ended_at: at }, loaded) {
  switch (state) {
    case "granted":
      return loaded === model
        ? [`${name} is loaded, as you asked.`, "", ""]
        : [`${name} was loaded, as you asked (${when(at ?? "")}).`, "", ""];
    case "declined":
      return answer
        ? [`Your request for ${name} was declined: “`, answer, "”"]
        : [`Your request for ${name} was declined.`, "", ""];
    case "expired":
      return [`Your request for ${name} has expired: nobody answered it. You can ask again.`, "", ""];
    default:
      return [`Your request for ${name} is closed: the model is no longer there.`, "", ""];
  }
}

/**
 * "10:42" today, else "Nov 12, 10:42"
 * @param {string} iso
 */
export function when(iso) {
  const [day, time] = [shortDate(iso), clock(iso)];
  return day === time ? time : `${day}, ${time}`;
}
