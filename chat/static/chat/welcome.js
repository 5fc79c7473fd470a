// @ts-check
// What an empty conversation says: how to begin, or what can be done where no model is loaded.

import { byId, h } from "./dom.js";

/** @import { ModelRequest } from "../shared/types.d.ts" */

const SUGGESTIONS = [
  [
    "Explain an idea",
    "how a hash table finds things so fast",
    "Explain to a beginner how a hash table finds things so fast, with a small example.",
  ],
  [
    "Write some code",
    "a Python script that renames photos by date",
    "Write a Python script that renames the photos in a folder by the date on which they were taken.",
  ],
  ["Improve a text", "make an e-mail shorter and friendlier", "Make this e-mail shorter and friendlier:\n\n"],
  [
    "Think it through",
    "weigh the pros and cons of a decision",
    "Help me weigh the pros and cons of this decision:\n\n",
  ],
];

export class Welcome {
  /**
   * @param {(text: string) => void} put begins a message
   * @param {() => void} openModels shows what could be loaded
   * @param {boolean} maySwitch this user may load it
   */
  constructor(put, openModels, maySwitch) {
    this.maySwitch = maySwitch;
    this.heading = byId("welcome-heading");
    this.words = byId("welcome-words");
    this.models = byId("welcome-models");
    this.models.addEventListener("click", openModels);
    this.suggestions = byId("suggestions");
    const buttons = SUGGESTIONS.map(([title, words, text]) =>
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "suggestion", onclick: () => put(text) },
          h("strong", {}, title),
          h("span", {}, words),
        ),
      ),
    );
    this.suggestions.append(...buttons);
    this.show(false, undefined);
  }

  /**
   * @param {boolean} unloaded no model is loaded
   * @param {ModelRequest | undefined} request one that this user has asked for, if any
   */
  show(unloaded, request) {
    this.heading.textContent = unloaded ? "No model is loaded" : "What can I help with?";
    this.words.textContent = unloaded ? this.way(request) : "Ask anything, or begin with one of these.";
    this.models.textContent = this.maySwitch ? "Load a model" : request ? "Your request" : "Ask for a model";
    this.models.hidden = !unloaded;
    this.suggestions.hidden = unloaded;
  }

  /** @param {ModelRequest | undefined} request */
  way(request) {
    if (this.maySwitch) return "What you send waits until you or somebody else loads one.";
    if (request) {
      const asked = `You have asked for ${request.name}, and will be told here what comes of it.`;
      return `${asked} What you send waits until a model is loaded.`;
    }
    return "What you send waits until an administrator loads one. You can ask for the one that you need.";
  }
}
