// @ts-check
// Short notices at the lower edge, with at most one thing to do about them.

import { byId, h } from "./dom.js";

const STAYS = 6000;

/**
 * Show `words`.
 * @param {string} words
 * @param {{label: string, run: () => void} | null} action puts a button beside them
 */
export function toast(words, action = null, stays = STAYS) {
  const remove = () => notice.remove();
  const run = () => {
    remove();
    action?.run();
  };
  const button = action && h("button", { type: "button", onclick: run }, action.label);
  const notice = h("div", { class: "toast" }, h("span", {}, words), button);
  const place = byId("toasts");
  place.append(notice);
  while (place.children.length > 3) place.firstElementChild?.remove();
  let timer = setTimeout(remove, stays);
  const hold = () => clearTimeout(timer);
  const release = () => {
    timer = setTimeout(remove, stays);
  };
  notice.addEventListener("pointerenter", hold);
  notice.addEventListener("focusin", hold);
  notice.addEventListener("pointerleave", release);
  notice.addEventListener("focusout", release);
}
