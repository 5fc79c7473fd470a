// @ts-check
// The Models page's table and its counts, put in place of what they were: ticks, focus and what is being typed stay.

import { byId, focusedIn, page, refocus, replacePart } from "./parts.js";

const FOUND = "#changelist-search .small.quiet";
const dialog = /** @type {HTMLDialogElement} */ (byId("gantry-dialog"));
const search = /** @type {HTMLInputElement | null} */ (document.getElementById("searchbar"));

/**
 * Takes the list of a page that came anew. Where there was no table, is none any more, or has other columns, the
 * page has to be loaded again: returns whether that was put off, because something is being filled in.
 * @param {Document} fresh
 */
export function replaceList(fresh) {
  const [table, young] = [tableOf(document), tableOf(fresh)];
  replaceCounts(fresh);
  if (columns(table) === columns(young)) {
    if (table && young) replaceRows(table, young);
    return false;
  }
  if (!typing()) {
    page.leaving = true;
    location.reload();
    return false;
  }
  if (table && !young) putRows(table, []);
  return true;
}

/** The names of the models in the list. */
export const names = () =>
  [...document.querySelectorAll(".gantry-name")].map((each) => each.textContent ?? "");

/** @param {Document} root */
const tableOf = (root) => /** @type {HTMLTableElement | null} */ (root.getElementById("result_list"));
/** @param {HTMLTableElement | null} table */
const columns = (table) => table?.tHead?.rows[0].cells.length ?? 0;
const typing = () => dialog.open || (search !== null && search.value !== search.defaultValue);

/** @param {Document} fresh */
function replaceCounts(fresh) {
  const [pages, youngPages] = [document, fresh].map((each) => each.querySelector(".paginator"));
  if (pages && youngPages) replacePart(pages, youngPages);
  const found = document.querySelector(FOUND);
  const youngFound = fresh.querySelector(FOUND);
  if (found && youngFound) replacePart(found, youngFound);
  else if (found) found.remove();
  else if (youngFound) search?.form?.querySelector("[type=submit]")?.after(youngFound);
}

/** @param {HTMLTableRowElement} row */
function rowId(row) {
  /** @type {HTMLInputElement | null} */
  const box = row.querySelector("input.action-select");
  return box?.value ?? row.querySelector("a")?.href ?? "";
}

/**
 * @param {HTMLTableElement} table
 * @param {HTMLTableElement} young
 */
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

/**
 * @param {HTMLTableRowElement} row
 * @param {HTMLTableRowElement} fresh
 */
function replaceCells(row, fresh) {
  const cells = [...fresh.cells];
  for (const [place, cell] of [...row.cells].entries()) {
    if (cell.classList.contains("action-checkbox") || cell.isEqualNode(cells[place])) continue;
    const focused = focusedIn(cell);
    cell.replaceWith(cells[place]);
    if (focused) refocus(focused, row);
  }
}

/**
 * In a new body: the admin site's own script listens at the old one, for the boxes that there were.
 * @param {HTMLTableElement} table
 * @param {HTMLTableRowElement[]} rows
 */
function putRows(table, rows) {
  const old = table.tBodies[0];
  const focused = focusedIn(old);
  const place = focused?.closest("tr")?.sectionRowIndex ?? 0;
  const body = /** @type {HTMLElement} */ (old.cloneNode(false));
  body.append(...rows);
  old.replaceWith(body);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
  else if (focused) refocus(focused, rows[Math.min(place, rows.length - 1)]);
  countTicks(table.querySelectorAll("tr input.action-select"));
}

/**
 * The admin site's script counts the ticks of the boxes that it is given, whenever the page is shown or one is
 * ticked. What it listened at besides the old body is replaced, or it would go on with the old boxes too.
 * @param {NodeListOf<Element>} boxes
 */
function countTicks(boxes) {
  /** @type {HTMLElement | null} */
  const counter = document.querySelector("span.action-counter");
  const { Actions } = /** @type {{Actions?: (boxes: NodeListOf<Element>) => void}} */ (window);
  if (!counter || !Actions) return;
  counter.dataset.actionsIcnt = String(boxes.length);
  for (const each of document.querySelectorAll("#action-toggle, div.actions :is(.question, .clear) a")) {
    const focused = each === document.activeElement;
    const copy = /** @type {HTMLElement} */ (each.cloneNode(true));
    each.replaceWith(copy);
    if (focused) copy.focus();
  }
  Actions(boxes);
  dispatchEvent(new Event("pageshow"));
  const toggle = /** @type {HTMLInputElement | null} */ (document.getElementById("action-toggle"));
  if (!boxes.length && toggle) toggle.checked = false; // none of none is all, to the script
}
