// @ts-check
// What is copied: text, and for a reply the HTML that a word processor takes.

import { h } from "./dom.js";

/**
 * Copy `text`, with `html` beside it for programs that take formatted text. Returns whether the browser allowed it.
 * @param {string} text
 */
export async function copyText(text, html = "") {
  const parts = Object.entries({ "text/plain": text, ...(html && { "text/html": html }) });
  try {
    const blobs = parts.map(([type, part]) => [type, new Blob([part], { type })]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
    return true;
  } catch {
    return copyByCommand(text, parts);
  }
}

/**
 * No clipboard over plain http: the old way.
 * @param {string} text
 * @param {[string, string][]} parts
 */
function copyByCommand(text, parts) {
  const area = h("textarea", { class: "visually-hidden", readonly: true });
  /** @param {ClipboardEvent} event */
  const give = (event) => {
    event.preventDefault();
    for (const [type, part] of parts) event.clipboardData?.setData(type, part);
  };
  area.value = text;
  area.addEventListener("copy", give);
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/**
 * A reply as a word processor takes it: HTML without what only serves this page.
 * @param {HTMLElement | undefined} prose
 */
export function formatted(prose) {
  if (!prose) return "";
  const copy = /** @type {HTMLElement} */ (prose.cloneNode(true));
  for (const part of copy.querySelectorAll(".tail, .code-head")) part.remove();
  for (const box of copy.querySelectorAll("input")) box.replaceWith(box.checked ? "☑" : "☐");
  for (const code of copy.querySelectorAll("pre code")) code.replaceChildren(code.textContent ?? ""); // no colours
  for (const frame of copy.querySelectorAll("div.code, div.table")) frame.replaceWith(...frame.childNodes);
  for (const part of copy.querySelectorAll("[class], [tabindex]"))
    for (const name of ["class", "tabindex"]) part.removeAttribute(name);
  return copy.innerHTML.trim();
}
