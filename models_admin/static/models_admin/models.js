// The Models page, live: follows /ws/models/.
//
// The server words everything. Progress is put into the page from the events themselves; when anything else has
// changed (`key`, as in banner.py), the banner, the notes and the rows are asked for anew.

import { fetched } from "../chat/fetching.js";
import { keepTrue } from "./dialog.js";
import { FRAGMENT, localize, page, replacePart } from "./parts.js";
import { replaceList } from "./rows.js";
import { follow } from "./socket.js";

const PARTS = ["gantry-state", "gantry-work", "gantry-outcome", "gantry-requests", "gantry-notes"];
const SUBMITTED = 30000; // milliseconds after which a page that is still there was not left
let newest = null; // the last snapshot that came
let heard = 0; // when it came (performance.now())
let updating = false;
let again = false;
let late = false; // the list could not be replaced yet
let others = 0; // changes to models and requests that the snapshot does not tell

const banner = document.getElementById("gantry-banner");

function key(snapshot) {
  const { switch: running, last } = snapshot;
  return [
    snapshot.state,
    snapshot.model,
    snapshot.unreachable_since ?? "",
    snapshot.worker ? "worker" : "",
    running?.id ?? "",
    running?.state ?? "",
    running?.cancel_requested ? "cancelled" : "",
    last?.id ?? "",
    snapshot.findings.map((finding) => finding.id).join(","),
    snapshot.busy_with,
  ].join("|");
}

// What came from the socket ------------------------------------------------------------------------------------

function take(event) {
  if (event.type === "catalog" || event.type === "asked") {
    others += 1;
    update();
    tellDialog();
    return;
  }
  if (event.type !== "backend" && event.type !== "hello") return;
  newest = event.type === "hello" ? event.backend : event;
  heard = performance.now();
  showProgress();
  if (banner.dataset.key !== key(newest)) update();
  tellDialog();
}

function tellDialog() {
  if (newest) keepTrue(`${key(newest)}|${newest.replying}|${others}`);
}

function showProgress() {
  const count = newest.replying;
  const words = count === 1 ? "1 reply in flight" : `${count} replies in flight`;
  document.getElementById("gantry-replying").textContent = count ? words : "";
  const running = newest.switch;
  const box = running && banner.querySelector(`[data-switch="${running.id}"]`);
  if (!box) return;
  const lines = running.lines.map((line) => {
    const item = document.createElement("li");
    item.className = `gantry-line-${line.state}`;
    item.textContent = line.text;
    return item;
  });
  box.querySelector("[data-lines]").replaceChildren(...lines);
  const advice = box.querySelector("[data-advice]");
  if (advice.textContent !== running.advice) advice.textContent = running.advice;
  const bar = box.querySelector("progress");
  if (running.state === "loading" || running.percent) bar.value = running.percent;
  else bar.removeAttribute("value");
  showTimes();
}

function showTimes() {
  const running = newest?.switch;
  const box = running && banner.querySelector(`[data-switch="${running.id}"]`);
  if (!box) return;
  const since = (performance.now() - heard) / 1000;
  box.querySelector("[data-elapsed]").textContent = `${Math.round(running.elapsed_seconds + since)} s so far`;
  const left = running.eta_seconds === null ? null : Math.max(1, Math.round(running.eta_seconds - since));
  box.querySelector("[data-eta]").textContent = left === null ? "" : `about ${left} s left`;
}

// What only the server can word ----------------------------------------------------------------------------------

async function update() {
  if (updating) {
    again = true;
    return;
  }
  updating = true;
  do {
    again = false;
    if (!page.leaving) await fetchAndReplace();
  } while (again);
  updating = false;
}

async function fetchAndReplace() {
  let fresh;
  try {
    const [answer, html] = await fetched(location.href, FRAGMENT, async (given) => [given, await given.text()]);
    if (page.leaving) return;
    if (answer.status === 403 || answer.redirected) {
      location.reload(); // what may be seen has been taken away meanwhile: the page says so
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    fresh = new DOMParser().parseFromString(html, "text/html");
  } catch {
    return; // the socket tells of what keeps us away; its next event leads here again
  }
  const freshBanner = fresh.getElementById("gantry-banner");
  if (!freshBanner || page.leaving) return;
  localize(fresh);
  banner.className = freshBanner.className;
  banner.dataset.key = freshBanner.dataset.key;
  for (const id of PARTS) replacePart(document.getElementById(id), fresh.getElementById(id));
  late = replaceList(fresh);
  if (newest) showProgress();
}

// What kept the list from being replaced may be over.
for (const [id, type] of [["gantry-dialog", "close"], ["searchbar", "input"]]) {
  document.getElementById(id)?.addEventListener(type, () => late && update());
}

// Forms --------------------------------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  page.leaving = true;
  setTimeout(stay, SUBMITTED);
  if (!event.target.closest("#gantry-dialog, #gantry-banner, #gantry-requests, .gantry-refresh")) return;
  for (const button of event.target.querySelectorAll("button")) button.disabled = true;
});

// The page was not left after all: the answer was broken off.
function stay() {
  page.leaving = false;
  for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
  update();
}

// A page taken from the browser's cache (Back) has its buttons as they were left.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

localize(document);
setInterval(showTimes, 1000);
const link = document.getElementById("gantry-link");
follow("/ws/models/", { take, tell: (words) => (link.textContent = words) });
