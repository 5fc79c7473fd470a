// The Models page, live: follows /ws/models/, and shows confirmations in a dialog.
//
// The server words everything. Progress is put into the page from the events themselves; when anything else has
// changed (`key`, as in banner.py), the banner, the notes and the rows are asked for anew.

import { follow } from "./socket.js";

const FRAGMENT = { headers: { "X-Requested-With": "fragment" } };
const PARTS = ["gantry-state", "gantry-work", "gantry-outcome", "gantry-requests", "gantry-notes"];
const dialog = document.getElementById("gantry-dialog");
let newest = null; // the last snapshot that came
let heard = 0; // when it came (performance.now())
let updating = false;
let again = false;

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
  ].join("|");
}

// What came from the socket ------------------------------------------------------------------------------------

function take(event) {
  if (event.type === "catalog" || event.type === "asked") {
    update();
    return;
  }
  if (event.type !== "backend" && event.type !== "hello") return;
  newest = event.type === "hello" ? event.backend : event;
  heard = performance.now();
  showProgress();
  if (banner.dataset.key !== key(newest)) update();
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
    await fetchAndReplace();
  } while (again);
  updating = false;
}

async function fetchAndReplace() {
  let page;
  try {
    const answer = await fetch(location.href, FRAGMENT);
    if (answer.status === 403 || answer.redirected) {
      location.reload(); // what may be seen has been taken away meanwhile: the page says so
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return; // the socket tells of what keeps us away; its next event leads here again
  }
  const fresh = page.getElementById("gantry-banner");
  if (!fresh) return;
  localize(page);
  banner.className = fresh.className;
  banner.dataset.key = fresh.dataset.key;
  for (const id of PARTS) replacePart(document.getElementById(id), page.getElementById(id));
  replaceRows(page);
  if (newest) showProgress();
}

// What is replaced in its place is announced by screen readers, where the place is a status: what is equal stays.
function replacePart(place, fresh) {
  takeTokens(place, fresh);
  if (place.isEqualNode(fresh)) return;
  const focused = place.contains(document.activeElement) && document.activeElement;
  place.replaceChildren(...fresh.childNodes);
  if (focused) (like(focused, place) ?? place).focus();
}

// The forms' tokens are written differently in each answer, which is no difference.
function takeTokens(place, fresh) {
  const [old, young] = [place, fresh].map((part) => part.querySelectorAll("[name=csrfmiddlewaretoken]"));
  if (old.length === young.length) old.forEach((field, n) => field.setAttribute("value", young[n].value));
}

// What does the same as the element that had the focus: it must not go to what does something else.
function like(former, place) {
  const does = (element) => element.getAttribute("aria-label") ?? element.textContent.trim();
  return [...place.querySelectorAll("button, a[href]")].find((each) => does(each) === does(former));
}

const rowId = (row) => row.querySelector("input.action-select")?.value ?? row.querySelector("th a, td a")?.href ?? "";

function replaceRows(page) {
  const table = document.querySelector("#result_list tbody");
  const rows = [...(table?.rows ?? [])];
  const fresh = [...(page.querySelector("#result_list tbody")?.rows ?? [])];
  if (rows.map(rowId).join() !== fresh.map(rowId).join()) {
    const busy = dialog.open || rows.some((row) => row.querySelector("input:checked"));
    if (!busy) location.reload(); // the admin site's own script counts the rows when the page is loaded
    else if (table) table.replaceChildren(...fresh);
    return;
  }
  rows.forEach((row, number) => {
    const cells = [...fresh[number].cells];
    [...row.cells].forEach((cell, place) => {
      const same = cell.classList.contains("action-checkbox") || cell.isEqualNode(cells[place]);
      if (same) return;
      const focused = cell.contains(document.activeElement) && document.activeElement;
      cell.replaceWith(cells[place]);
      if (focused) (like(focused, cells[place]) ?? row.querySelector("a"))?.focus();
    });
  });
}

// Times in the reader's own time zone, written as the server writes them.
function localize(root) {
  const two = (number) => String(number).padStart(2, "0");
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const when = new Date(element.dateTime);
    if (Number.isNaN(when.getTime())) continue;
    const month = when.toLocaleString("en", { month: "short" });
    const day = `${when.getDate()} ${month} ${when.getFullYear()}`;
    element.textContent = `${day}, ${two(when.getHours())}:${two(when.getMinutes())}`;
    element.dataset.local = "";
  }
}

// Confirmations in a dialog --------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  const opener = event.target.closest("a[data-dialog]");
  if (opener && plain) {
    event.preventDefault();
    ask(opener.href);
  } else if (event.target.closest("#gantry-dialog [data-close]") || event.target === dialog) {
    event.preventDefault();
    dialog.close();
  }
});

async function ask(address) {
  try {
    const answer = await fetch(address, FRAGMENT);
    const html = await answer.text();
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    dialog.innerHTML = html;
    dialog.showModal();
  } catch {
    location.assign(address); // the page says better what is wrong
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.closest("#gantry-dialog, #gantry-banner, #gantry-requests, .gantry-refresh")) return;
  for (const button of event.target.querySelectorAll("button")) button.disabled = true;
});

// A page taken from the browser's cache (Back) has its buttons as they were left.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

localize(document);
setInterval(showTimes, 1000);
const link = document.getElementById("gantry-link");
follow("/ws/models/", { take, tell: (words) => (link.textContent = words) });
