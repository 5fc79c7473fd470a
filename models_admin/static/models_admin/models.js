// @ts-check
// The Models page, live: follows /ws/models/.
//
// The server words everything. Progress is put into the page from the events themselves; when the page shows
// anything else that has changed (changes.js), the banner, the notes and the rows are asked for anew, a moment later
// (refresher.js).

import { concerns, key } from "./changes.js";
import { keepTrue } from "./dialog.js";
import { showLines } from "./lines.js";
import { freshPage, leaveBySubmitting, tell } from "./live_page.js";
import { byId, localize, replacePart } from "./parts.js";
import { Refresher } from "./refresher.js";
import { names, replaceList } from "./rows.js";
import { follow } from "./socket.js";

/** @import { Backend, Rollout, SocketEvent, Switch } from "../shared/types.d.ts" */

const PARTS = ["gantry-state", "gantry-work", "gantry-outcome", "gantry-requests", "gantry-notes"];
/** @type {Backend | null} */
let newest = null; // the last snapshot that came
let heard = 0; // when it came (performance.now())
let late = false; // the list could not be replaced yet
let others = 0; // changes to models and requests that the snapshot does not tell
let shownOthers = 0; // those of them that the page shows

const banner = byId("gantry-banner");
const refresher = new Refresher(outdated, fetchAndReplace);

// What came from the socket ------------------------------------------------------------------------------------

/** @param {SocketEvent} event */
function take(event) {
  if (event.type === "catalog" || (event.type === "asked" && "shown" in byId("gantry-requests").dataset)) {
    others += 1;
  } else if (event.type === "backend" || event.type === "hello") {
    newest = event.type === "hello" ? event.backend : event;
    heard = performance.now();
    showProgress(newest);
  } else return;
  refresher.soon();
  if (newest) keepTrue(`${key(newest)}|${newest.replying}|${others}`);
}

/** Whether the page shows something that has changed. */
function outdated() {
  const { key: shown = "", step = "" } = banner.dataset;
  return others !== shownOthers || (newest !== null && concerns(newest, { key: shown, step }, names()));
}

/**
 * Where the banner shows this switch.
 * @param {Switch} running
 * @returns {HTMLElement | null}
 */
const boxOf = (running) => banner.querySelector(`[data-switch="${running.id}"]`);

/** @param {Backend} snapshot */
function showProgress({ replying, switch: running, rollout }) {
  const words = replying === 1 ? "1 reply in flight" : `${replying} replies in flight`;
  byId("gantry-replying").textContent = replying ? words : "";
  if (rollout) showRollout(rollout);
  const box = running && boxOf(running);
  if (!box) return;
  showLines(box, running.lines);
  put(box, "[data-advice]", running.advice);
  const bar = box.querySelector("progress");
  if (running.state === "loading" || running.percent) bar?.setAttribute("value", String(running.percent));
  else bar?.removeAttribute("value");
  showTimes();
}

/** @param {Rollout} rollout */
function showRollout({ id, percent, lines }) {
  const box = banner.querySelector(`[data-rollout="${id}"]`);
  if (!box) return;
  showLines(box, lines);
  put(box, "[data-percent]", String(percent));
  box.querySelector("progress")?.setAttribute("value", String(percent));
}

function showTimes() {
  const running = newest?.switch;
  const box = running && boxOf(running);
  if (!box) return;
  const since = (performance.now() - heard) / 1000;
  const left = running.eta_seconds === null ? null : Math.max(1, Math.round(running.eta_seconds - since));
  put(box, "[data-elapsed]", `${Math.round(running.elapsed_seconds + since)} s so far`);
  put(box, "[data-eta]", left === null ? "" : `about ${left} s left`);
}

/**
 * @param {Element} box
 * @param {string} selector
 * @param {string} words
 */
function put(box, selector, words) {
  const place = box.querySelector(selector);
  if (place && place.textContent !== words) place.textContent = words;
}

// What only the server can word ----------------------------------------------------------------------------------

async function fetchAndReplace() {
  const asked = others;
  const fresh = await freshPage(403);
  if (!fresh) return;
  const freshBanner = fresh.getElementById("gantry-banner");
  if (!freshBanner) return;
  shownOthers = asked;
  localize(fresh);
  banner.className = freshBanner.className;
  Object.assign(banner.dataset, freshBanner.dataset);
  for (const id of PARTS) replacePart(byId(id), fresh.getElementById(id));
  byId("gantry-requests").toggleAttribute(
    "data-shown",
    fresh.querySelector("#gantry-requests[data-shown]") !== null,
  );
  late = replaceList(fresh);
  if (newest) showProgress(newest);
}

// What kept the list from being replaced may be over.
for (const [id, type] of [
  ["gantry-dialog", "close"],
  ["searchbar", "input"],
]) {
  document.getElementById(id)?.addEventListener(type, () => late && refresher.now());
}

// Forms
// --------------------------------------------------------------------------------------------------------------

leaveBySubmitting(refresher, (form) => {
  const ours = form.closest("#gantry-dialog, #gantry-banner, #gantry-requests, .gantry-refresh");
  return ours ? form.querySelectorAll("button") : [];
});

localize(document);
setInterval(showTimes, 1000);
follow("/ws/models/", { take, tell });
