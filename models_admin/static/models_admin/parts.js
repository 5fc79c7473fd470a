// @ts-check
// What the Models page's scripts share: parts of the page that come anew from the server, and where the focus goes
// then.

import { fetched } from "../shared/fetching.js";

/**
 * An element that is always on the page.
 * @param {string} id
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no “${id}”.`);
  return found;
}

/**
 * What the page at `address` shows, without what stands around it.
 * @param {string} address
 */
export function fragment(address) {
  const options = { headers: { "X-Requested-With": "fragment" } };
  return fetched(address, options, async (answer) => ({ answer, html: await answer.text() }));
}

// Whether a form of the page is being submitted: the page is about to be another, and must not change or reload
// before.
export const page = { leaving: false };

/**
 * What is replaced in its place is announced by screen readers, where the place is a status: what is equal stays.
 * @param {Element} place
 * @param {Element | null} fresh
 */
export function replacePart(place, fresh) {
  if (!fresh) return;
  takeTokens(place, fresh);
  const [old, young] = [place, fresh].map((part) => [...part.querySelectorAll("details")]);
  for (const [n, each] of old.length === young.length ? old.entries() : []) young[n].open = each.open;
  if (place.isEqualNode(fresh)) return;
  const focused = focusedIn(place);
  place.replaceChildren(...fresh.childNodes);
  if (focused) (like(focused, place) ?? /** @type {HTMLElement} */ (place)).focus();
}

/**
 * The forms' tokens are written differently in each answer, which is no difference.
 * @param {Element} place
 * @param {Element} fresh
 */
function takeTokens(place, fresh) {
  const [old, young] = [place, fresh].map((part) => [...part.querySelectorAll("[name=csrfmiddlewaretoken]")]);
  for (const [n, field] of old.length === young.length ? old.entries() : []) {
    field.setAttribute("value", young[n].getAttribute("value") ?? "");
  }
}

/**
 * What has the focus, if it is within `place`.
 * @param {Element} place
 */
export function focusedIn(place) {
  const focused = document.activeElement;
  return focused instanceof HTMLElement && place.contains(focused) ? focused : null;
}

/**
 * What does the same as the element that had the focus: it must not go to what does something else.
 * @param {Element} former
 * @param {Element} place
 * @returns {HTMLElement | undefined}
 */
function like(former, place) {
  /** @param {Element} element */
  const does = (element) => element.getAttribute("aria-label") ?? element.textContent?.trim();
  /** @type {NodeListOf<HTMLElement>} */
  const all = place.querySelectorAll("button, summary, a[href]");
  return [...all].find((each) => does(each) === does(former));
}

/**
 * Puts the focus near where it was, when what had it is gone: on the same control, the first link beside it, or the
 * banner.
 * @param {Element} former
 * @param {Element | null | undefined} place
 */
export function refocus(former, place) {
  /** @type {HTMLElement | null | undefined} */
  const near = place?.isConnected ? (like(former, place) ?? place.querySelector("a[href]")) : null;
  (near ?? byId("gantry-state")).focus({ preventScroll: !near });
}

/**
 * Times in the reader's own time zone, written as the server writes them.
 * @param {Document} root
 */
export function localize(root) {
  /** @param {number} number */
  const two = (number) => String(number).padStart(2, "0");
  for (const element of root.querySelectorAll("time")) {
    const when = new Date(element.dateTime);
    if ("local" in element.dataset || Number.isNaN(when.getTime())) continue;
    const month = when.toLocaleString("en", { month: "short" });
    const day = `${when.getDate()} ${month} ${when.getFullYear()}`;
    element.textContent = `${day}, ${two(when.getHours())}:${two(when.getMinutes())}`;
    element.dataset.local = "";
  }
}
