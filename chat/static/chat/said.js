// @ts-check
// What a person said; a long text is folded.

import { h } from "./dom.js";

const LONG = 2400;

/**
 * The text in its bubble, and a button where it is long.
 * @param {string} text
 */
export function said(text) {
  const bubble = h("div", { class: "bubble", dir: "auto" }, text);
  if (text.length < LONG && text.split("\n").length < 24) return [bubble];
  bubble.classList.add("clipped");
  const unfold = h("button", { type: "button", class: "unfold", "aria-expanded": "false" }, "Show all");
  unfold.addEventListener("click", () => {
    const clipped = bubble.classList.toggle("clipped");
    unfold.textContent = clipped ? "Show all" : "Show less";
    unfold.setAttribute("aria-expanded", String(!clipped));
  });
  return [bubble, unfold];
}
