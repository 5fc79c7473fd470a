// Confirmations in a dialog: what the page behind a link shows, without leaving this one.

import { fetched } from "../chat/fetching.js";
import { FRAGMENT, page, refocus, replacePart } from "./parts.js";

const dialog = document.getElementById("gantry-dialog");
let address = ""; // of the page whose content it shows
let opener = null; // the link that was followed, and what it stands in
let home = null;
let shown = ""; // the state of things that the facts in it are of, and the newest one
let newest = "";
let refreshing = false;
let pressedOutside = false;

document.addEventListener("click", (event) => {
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  const link = event.target.closest("a[data-dialog]");
  if (link && plain) {
    event.preventDefault();
    ask(link);
  } else if (event.target.closest("#gantry-dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  } else if (event.target === dialog && pressedOutside && outside(event) && !filledIn()) {
    dialog.close();
  }
});

document.addEventListener("pointerdown", (event) => (pressedOutside = outside(event)), { capture: true });

// The dialog is the target of a click beside it, of one in its padding, and of a text selection that ends elsewhere.
function outside({ clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}

function filledIn() {
  const preset = (list) => Math.max(0, [...list.options].findIndex((option) => option.defaultSelected));
  const changed = (field) =>
    field.options ? field.selectedIndex !== preset(field) : field.value !== field.defaultValue;
  return [...dialog.querySelectorAll("input, textarea, select")].some(changed);
}

async function ask(link) {
  const state = newest;
  try {
    const [answer, html] = await fetched(link.href, FRAGMENT, async (given) => [given, await given.text()]);
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    [address, opener, home, shown] = [link.href, link, link.closest("tr, #gantry-requests"), state];
    dialog.innerHTML = html;
    dialog.showModal();
  } catch {
    location.assign(link.href); // the page says better what is wrong
    return;
  }
  refresh();
}

dialog.addEventListener("close", () => {
  if (!opener.isConnected) refocus(opener, home); // it has been replaced meanwhile
});

// Takes a name for the state of things: facts of another state, in a dialog that is open, are asked for anew.
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

async function content(from) {
  try {
    const [answer, html] = await fetched(from, FRAGMENT, async (given) => [given, await given.text()]);
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(html, "text/html");
  } catch {
    return null; // the socket tells of what keeps us away; its next event leads here again
  }
}

// What has been filled in stays; fields come where there were none, because nothing could be asked for.
function put(fresh) {
  const filled = document.getElementById("gantry-chosen").childElementCount > 0;
  for (const id of filled ? ["gantry-meaning", "gantry-answer"] : ["gantry-meaning", "gantry-chosen", "gantry-answer"]) {
    replacePart(document.getElementById(id), fresh.getElementById(id));
  }
}
