// @ts-check
// Keys that work on the whole page, and the Copy buttons of code.

import { copyText } from "./clipboard.js";
import { byId } from "./dom.js";
import { onKey } from "./keys.js";

const SAID = 1600; // milliseconds that a button tells what came of it

/**
 * @typedef {object} Does
 * @property {() => void} search opens the search
 * @property {() => boolean} stop whether there was a reply to be stopped
 * @property {() => void} type makes a message of what is typed
 */

/** @param {Does} does */
export function setUpKeys({ search, stop, type }) {
  const mac = /Mac|iP/.test(navigator.platform);
  byId("search-keys").textContent = mac ? "⌘ K" : "Ctrl K";
  byId("open-search").addEventListener("click", search);
  onKey(document, (event) => {
    const { key, altKey, shiftKey } = event;
    const command = event.ctrlKey || event.metaKey;
    if (command && !shiftKey && !altKey && key.toLowerCase() === "k") {
      event.preventDefault();
      search();
    } else if (key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
      if (stop()) event.preventDefault();
    } else if (key.length === 1 && key !== " " && !command && !altKey && nothingFocused()) type();
  });
}

const nothingFocused = () => document.activeElement === document.body;

export function setUpCopyButtons() {
  byId("messages").addEventListener("click", async ({ target }) => {
    const button = target instanceof Element && target.closest(".copy");
    if (!button) return;
    const code = button.closest(".code")?.querySelector("code");
    button.textContent = (await copyText(code?.textContent ?? "")) ? "Copied" : "Not allowed";
    setTimeout(() => button.replaceChildren("Copy"), SAID);
  });
}
