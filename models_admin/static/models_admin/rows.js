// The Models page's table and its counts, put in place of what they were: ticks, focus and what is being typed stay.

import { page, refocus, replacePart } from "./parts.js";

const dialog = document.getElementById("gantry-dialog");
const search = document.getElementById("searchbar");

// Takes the list of a page that came anew. Where there was no table, is none any more, or has other columns, the page has to be
// loaded again: returns whether that was put off, because something is being filled in.
export function replaceList(fresh) {
  const [table, young] = [document, fresh].map((each) => each.getElementById("result_list"));
  replaceCounts(fresh);
  if (columns(table) === columns(young)) {
    if (table) replaceRows(table, young);
    return false;
  }
  if (!typing()) {
    page.leaving = true;
    location.reload();
    return false;
  }
  if (!young) putRows(table, []);
  return true;
}

const columns = (table) => table?.tHead.rows[0].cells.length ?? 0;
const typing = () => dialog.open || (search !== null && search.value !== search.defaultValue);

function replaceCounts(fresh) {
  const [pages, youngPages] = [document, fresh].map((each) => each.querySelector(".paginator"));
  if (pages && youngPages) replacePart(pages, youngPages);
  const [found, youngFound] = [document, fresh].map((each) => each.querySelector("#changelist-search .small.quiet"));
  if (found && youngFound) replacePart(found, youngFound);
  else if (found) found.remove();
  else if (youngFound) search.form.querySelector("[type=submit]").after(youngFound);
}

const rowId = (row) => row.querySelector("input.action-select")?.value ?? row.querySelector("th a, td a")?.href ?? "";

function replaceRows(table, young) {
  const old = [...table.tBodies[0].rows];
  const known = new Map(old.map((row) => [rowId(row), row]));
  const rows = [...young.tBodies[0].rows].map((fresh) => {
    const row = known.get(rowId(fresh));
    if (row) replaceCells(row, fresh);
    return row ?? fresh;
  });
  if (rows.length !== old.length || rows.some((row, number) => row !== old[number])) putRows(table, rows);
}

function replaceCells(row, fresh) {
  const cells = [...fresh.cells];
  [...row.cells].forEach((cell, place) => {
    if (cell.classList.contains("action-checkbox") || cell.isEqualNode(cells[place])) return;
    const focused = cell.contains(document.activeElement) && document.activeElement;
    cell.replaceWith(cells[place]);
    if (focused) refocus(focused, row);
  });
}

// In a new body: the admin site's own script listens at the old one, for the boxes that there were.
function putRows(table, rows) {
  const old = table.tBodies[0];
  const focused = old.contains(document.activeElement) && document.activeElement;
  const place = focused ? focused.closest("tr").sectionRowIndex : 0;
  const body = old.cloneNode(false);
  body.append(...rows);
  old.replaceWith(body);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
  else if (focused) refocus(focused, rows[Math.min(place, rows.length - 1)]);
  countTicks(table.querySelectorAll("tr input.action-select"));
}

// The admin site's script counts the ticks of the boxes that it is given, whenever the page is shown or one is ticked. What it
// listened at besides the old body is replaced, or it would go on with the old boxes too.
function countTicks(boxes) {
  const counter = document.querySelector("span.action-counter");
  if (!counter || !window.Actions) return;
  counter.dataset.actionsIcnt = boxes.length;
  for (const each of document.querySelectorAll("#action-toggle, div.actions :is(.question, .clear) a")) {
    const focused = each === document.activeElement;
    const copy = each.cloneNode(true);
    each.replaceWith(copy);
    if (focused) copy.focus();
  }
  window.Actions(boxes);
  dispatchEvent(new Event("pageshow"));
  if (!boxes.length) document.getElementById("action-toggle").checked = false; // none of none is all, to the script
}
