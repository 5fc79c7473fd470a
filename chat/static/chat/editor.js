// @ts-check
// The form in which a person's message is changed.

import { autosize, h, press } from "./dom.js";
import { onKey } from "./keys.js";

/**
 * @param {string} before the text as it stands
 * @param {(text: string) => void} save gets a text that is new and not empty
 * @param {() => void} done the form is no longer needed
 */
export function editor(before, save, done) {
  const area = h("textarea", { rows: "1", dir: "auto", "aria-label": "Edit your message" });
  area.value = before;
  const submit = () => {
    const text = area.value.trim();
    if (text && text !== before) save(text);
    if (text) done();
  };
  area.addEventListener("input", () => autosize(area));
  onKey(area, (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      done();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  });
  const cancel = press("button small", done, "Cancel");
  const send = press("button small primary", submit, "Send");
  const buttons = h("div", { class: "dialog-actions" }, cancel, send);
  /** To be called when it stands on the page. */
  const begin = () => {
    autosize(area);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  };
  return { area, buttons, begin };
}
