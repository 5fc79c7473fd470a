// @ts-check
// What pages that follow /ws/models/ share: their newer state from the server, and that a page whose form is being
// submitted is about to be another.

import { byId, fragment, page } from "./parts.js";

/** @import { Refresher } from "./refresher.js" */

const SUBMITTED = 30000; // milliseconds after which a page that is still there was not left

/**
 * The page as it is now. null: it stays as it is, because it is being left or could not be had; the socket tells of
 * what keeps us away, and its next event leads here again. With one of the statuses `taken`, or led elsewhere, it
 * reloads: what may be seen has been taken away meanwhile, and the page says so.
 * @param {...number} taken
 * @returns {Promise<Document | null>}
 */
export async function freshPage(...taken) {
  if (page.leaving) return null;
  try {
    const { answer, html } = await fragment(location.href);
    if (page.leaving) return null;
    if (taken.includes(answer.status) || answer.redirected) {
      location.reload();
      return null;
    }
    return answer.ok ? new DOMParser().parseFromString(html, "text/html") : null;
  } catch {
    return null;
  }
}

/**
 * Keep the page as it is while one of its forms is being submitted, with the form's buttons disabled.
 * @param {Refresher} refresher
 * @param {(form: HTMLFormElement) => Iterable<HTMLButtonElement>} buttons of a form that was submitted
 */
export function leaveBySubmitting(refresher, buttons) {
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    page.leaving = true;
    setTimeout(stay, SUBMITTED);
    for (const button of buttons(/** @type {HTMLFormElement} */ (event.target))) button.disabled = true;
  });

  // The page was not left after all: the answer was broken off.
  function stay() {
    page.leaving = false;
    for (const button of document.querySelectorAll("button")) button.disabled = false;
    refresher.now();
  }

  // A page taken from the browser's cache (Back) has its buttons as they were left.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

/** @param {string} words on the connection */
export function tell(words) {
  byId("gantry-link").textContent = words;
}
