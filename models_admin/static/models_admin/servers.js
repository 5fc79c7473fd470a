// @ts-check
// The Servers page, live: follows /ws/models/.
//
// The server words everything. Progress and replies in flight are put into the cards from the events themselves; when
// anything else has changed (changes.js), the cards are asked for anew, a moment later (refresher.js).

import { ofServer } from "./changes.js";
import { showLines } from "./lines.js";
import { freshPage, leaveBySubmitting, tell } from "./live_page.js";
import { byId, localize, replacePart } from "./parts.js";
import { Refresher } from "./refresher.js";
import { follow } from "./socket.js";

/** @import { ServerState, SocketEvent } from "../shared/types.d.ts" */

const PACES_EVERY = 5000; // milliseconds

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

/** Show how fast each server writes, which no event tells. */
async function showPaces() {
  if (document.hidden) return;
  const fresh = await freshPage(403, 404);
  for (const card of cards.children) {
    const [shown, now] = [cards, fresh].map((root) => root?.querySelector(`#${card.id} [data-pace]`));
    if (shown && now && shown.textContent !== now.textContent) shown.textContent = now.textContent;
  }
}

async function fetchAndReplace() {
  const fresh = await freshPage(403, 404);
  const young = fresh?.getElementById("gantry-cards");
  if (!fresh || !young) return;
  localize(fresh);
  cards.dataset.key = young.dataset.key;
  for (const card of cards.children) {
    const other = fresh.getElementById(card.id);
    if (other) card.className = other.className;
    replacePart(card, other);
  }
  newest.forEach(showProgress);
}

leaveBySubmitting(refresher, () => cards.querySelectorAll("button"));
localize(document);
follow("/ws/models/", { take, tell });
setInterval(showPaces, PACES_EVERY);
