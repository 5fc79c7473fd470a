// @ts-check
// Confirmations in a dialog: what the page behind a link shows, without leaving this one.

import { byId, fragment, page, refocus, replacePart } from "./parts.js";

const dialog = /** @type {HTMLDialogElement} */ (byId("gantry-dialog"));
let address = ""; // of the page whose content it shows
/** @type {HTMLElement | null} */
let opener = null; // the link that was followed, and what it stands in
/** @type {Element | null} */
let home = null;
let shown = ""; // the state of things that the facts in it are of, and the newest one
let newest = "";
let refreshing = false;
let pressedOutside = false;

document.addEventListener("click", (event) => {
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  const target = /** @type {Element} */ (event.target);
  const link = target.closest("a");
  if (link && "dialog" in link.dataset && plain) {
    event.preventDefault();
    ask(link);
  } else if (target.closest("#gantry-dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  } else if (target === dialog && pressedOutside && outside(event) && !filledIn()) {
    dialog.close();
  }
});

/** @param {PointerEvent} event */
function pressed(event) {
  pressedOutside = outside(event);
}
document.addEventListener("pointerdown", pressed, { capture: true });

/**
 * The dialog is the target of a click beside it, of one in its padding, and of a text selection that ends elsewhere.
 * @param {MouseEvent} event
 */
function outside({ clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}

function filledIn() {
  const choices = [...dialog.querySelectorAll("select")];
  const texts = [...dialog.querySelectorAll("input"), ...dialog.querySelectorAll("textarea")];
  return choices.some(chosen) || texts.some(changed);
}

/** @param {HTMLInputElement | HTMLTextAreaElement} field */
function changed(field) {
  if (field.type === "checkbox") return "checked" in field && field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

/** @param {HTMLSelectElement} list */
function chosen({ options, selectedIndex }) {
  const preset = [...options].findIndex((option) => option.defaultSelected);
  return selectedIndex !== Math.max(0, preset);
}

/** @param {HTMLAnchorElement} link */
async function ask(link) {
  const state = newest;
  try {
    const { answer, html } = await fragment(link.href);
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    address = link.href;
    opener = link;
    home = link.closest("tr, #gantry-requests");
    shown = state;
    dialog.innerHTML = html;
    dialog.showModal();
  } catch {
    location.assign(link.href); // the page says better what is wrong
    return;
  }
  refresh();
}

dialog.addEventListener("close", () => {
  if (opener && !opener.isConnected) refocus(opener, home); // it has been replaced meanwhile
});

/**
 * Takes a name for the state of things: facts of another state, in a dialog that is open, are asked for anew.
 * @param {string} state
 */
export function keepTrue(state) {
  newest = state;
  refresh();
}

async function refresh() {
  if (refreshing) return;
  refreshing = true;
  while (dialog.open && shown !== newest && !page.leaving) {
    const [from, state] = [address, newest];
    const fresh = await content(from);
    if (!dialog.open || from !== address) continue;
    shown = state;
    if (fresh && !page.leaving) put(fresh);
  }
  refreshing = false;
}

/** @param {string} from */
async function content(from) {
  try {
    const { answer, html } = await fragment(from);
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(html, "text/html");
  } catch {
    return null; // the socket tells of what keeps us away; its next event leads here again
  }
}

/**
 * What has been filled in stays; fields come where there were none, because nothing could be asked for.
 * @param {Document} fresh
 */
function put(fresh) {
  const filled = byId("gantry-chosen").childElementCount > 0;
  for (const id of filled
    ? ["gantry-meaning", "gantry-answer"]
    : ["gantry-meaning", "gantry-chosen", "gantry-answer"]) {
    replacePart(byId(id), fresh.getElementById(id));
  }
}
