// @ts-check
// The Servers page, live: follows /ws/models/.
//
// The server words everything. Progress and replies in flight are put into the cards from the events themselves; when
// anything else has changed (changes.js), the cards are asked for anew, a moment later (refresher.js).

import { ofServer } from "./changes.js";
import { showLines } from "./lines.js";
import { byId, fragment, localize, page, replacePart } from "./parts.js";
import { Refresher } from "./refresher.js";
import { follow } from "./socket.js";

/** @import { ServerState, SocketEvent } from "../shared/types.d.ts" */

const SUBMITTED = 30000; // milliseconds after which a page that is still there was not left
/** @type {ServerState[]} */
let newest = [];

const cards = byId("gantry-cards");
const refresher = new Refresher(outdated, fetchAndReplace);

/** @param {SocketEvent} event */
function take(event) {
  if (event.type !== "backend" && event.type !== "hello") return;
  const { servers } = event.type === "hello" ? event.backend : event;
  if (!servers) return;
  newest = servers;
  servers.forEach(showProgress);
  refresher.soon();
}

/** Whether the page shows something that has changed. */
function outdated() {
  return newest.length > 0 && cards.dataset.key !== newest.map(ofServer).join("|");
}

/** @param {ServerState} server */
function showProgress({ id, replying, switch: running }) {
  const card = document.getElementById(`gantry-server-${id}`);
  const count = card?.querySelector("[data-replying]");
  const words = replying === 1 ? "1 reply in flight" : `${replying || "no"} replies in flight`;
  if (count && count.textContent !== words) count.textContent = words;
  const box = running && card?.querySelector(`[data-switch="${running.id}"]`);
  if (!box) return;
  showLines(box, running.lines);
  box.querySelector("progress")?.setAttribute("value", String(running.percent));
}

async function fetchAndReplace() {
  if (page.leaving) return;
  try {
    const { answer, html } = await fragment(location.href);
    if (page.leaving) return;
    if (answer.status === 403 || answer.status === 404 || answer.redirected) location.reload();
    if (!answer.ok || answer.redirected) return;
    show(new DOMParser().parseFromString(html, "text/html"));
  } catch {
    // the socket tells of what keeps us away; its next event leads here again
  }
}

/** @param {Document} fresh */
function show(fresh) {
  const young = fresh.getElementById("gantry-cards");
  if (!young) return;
  localize(fresh);
  cards.dataset.key = young.dataset.key;
  for (const card of cards.children) {
    const other = fresh.getElementById(card.id);
    if (other) card.className = other.className;
    replacePart(card, other);
  }
  newest.forEach(showProgress);
}

document.addEventListener("submit", () => {
  page.leaving = true;
  setTimeout(stay, SUBMITTED);
  for (const button of cards.querySelectorAll("button")) button.disabled = true;
});

// The page was not left after all: the answer was broken off.
function stay() {
  page.leaving = false;
  for (const button of cards.querySelectorAll("button")) button.disabled = false;
  refresher.now();
}

// A page taken from the browser's cache (Back) has its buttons as they were left.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

/** @param {string} words on the connection */
function tell(words) {
  byId("gantry-link").textContent = words;
}

localize(document);
follow("/ws/models/", { take, tell });
