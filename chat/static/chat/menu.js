// @ts-check
// Menus as keyboards and screen readers know them: arrows move, Escape and Tab close, focus goes back.

import { onKey } from "./keys.js";

/** @typedef {{close: (refocus?: boolean) => void, open: (at?: number) => void}} Menu */

/**
 * @param {HTMLElement} menu
 * @returns {HTMLElement[]}
 */
const items = (menu) =>
  [...menu.querySelectorAll('[role^="menuitem"]')].filter((each) => each instanceof HTMLElement);

/**
 * Make `button` open `menu`.
 * @param {HTMLElement} button
 * @param {HTMLElement} menu
 * @returns {Menu}
 */
export function setUpMenu(button, menu, onclose = () => {}) {
  /** @param {PointerEvent} event */
  const outside = ({ target }) => {
    if (target instanceof Node && !menu.contains(target) && !button.contains(target)) close(false);
  };
  function open(at = 0) {
    menu.hidden = false;
    button.setAttribute("aria-expanded", "true");
    document.addEventListener("pointerdown", outside, true);

    items(menu).at(at)?.focus();
  }
  function close(refocus = true) {
    if (menu.hidden) return;
    menu.hidden = true;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    if (refocus) button.focus();
    onclose();
  }
  button.addEventListener("click", () => (menu.hidden ? open() : close()));
  onKey(button, (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    open(event.key === "ArrowDown" ? 0 : -1);
  });
  onKey(menu, (event) => {
    const all = items(menu);
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const moves = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: -1,
    };
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Tab") close(false);
    else if (event.key in moves) {
      event.preventDefault();
      all.at(moves[event.key] % all.length)?.focus();
    }
  });
  return { close, open };
}
