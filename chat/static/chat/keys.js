// @ts-check
// Keys, heard in one way everywhere. The keys of a composition (an input method: Japanese, Chinese, accents) are its
// own: Enter takes a candidate and Escape puts it away, and neither means anything to the page. Safari sends the
// Enter that ends a composition after its end, with isComposing false: only its keyCode 229 tells.

const PROCESSED = 229;

/**
 * Whether a key is a composition's.
 * @param {Pick<KeyboardEvent, "isComposing" | "keyCode">} event
 */
export const composes = ({ isComposing, keyCode }) => isComposing || keyCode === PROCESSED;

/**
 * Call `handle(event)` for each key that is pressed in `target` and that is not a composition's.
 * @param {HTMLElement | Document} target
 * @param {(event: KeyboardEvent) => unknown} handle
 */
export function onKey(target, handle) {
  target.addEventListener("keydown", (event) => {
    if (event instanceof KeyboardEvent && !composes(event)) handle(event);
  });
}
