// @ts-check
// Search over titles and messages: Ctrl/⌘ K, arrows, Enter.

import { call, words } from "./api.js";
import { byId, h } from "./dom.js";
import { plural, shortDate } from "./format.js";
import { onKey } from "./keys.js";
import { address } from "../shared/site.js";

const PAUSE = 140;

/** @import { Found, Listed } from "../shared/types.d.ts" */

/**
 * @param {() => Listed[]} recent the conversations to offer before anything is typed
 * @returns {() => void} opens the search
 */
export function setUpSearch(recent) {
  const dialog = byId("search", HTMLDialogElement);
  const field = byId("search-text", HTMLInputElement);
  const list = byId("search-results");
  const status = byId("search-status");
  let asked = 0;
  /** @type {number | undefined} */
  let timer;

  /**
   * @param {(Listed | Found)[]} results
   * @param {string} nothing what to say where there are none
   */
  function show(results, nothing) {
    const found = results.map(result);
    list.replaceChildren(...(found.length ? found : [h("p", { class: "none" }, nothing)]));
    select(0);
  }

  /** @returns {HTMLAnchorElement[]} */
  const rows = () => [...list.querySelectorAll("a")];

  /** @param {number} at */
  function select(at) {
    const all = rows();
    const chosen = all.at(at % all.length);
    if (!chosen) {
      field.removeAttribute("aria-activedescendant");
      return;
    }
    for (const row of all) row.setAttribute("aria-selected", String(row === chosen));
    field.setAttribute("aria-activedescendant", chosen.id);
    chosen.scrollIntoView({ block: "nearest" });
  }

  async function find() {
    const query = field.value.trim();
    asked += 1;
    const number = asked;
    if (!query) {
      show(recent().slice(0, 8), "Your conversations will be found here.");
      return;
    }
    try {
      const { results } = await call("GET", `/conversations/search?q=${encodeURIComponent(query)}`);
      if (number !== asked) return;
      show(results, `Nothing found for “${query}”.`);
      status.textContent = plural(results.length, "conversation");
    } catch (error) {
      if (number === asked) show([], words(error));
    }
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(find, PAUSE);
  });
  onKey(field, (event) => {
    const all = rows();
    const at = all.findIndex((row) => row.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      select(event.key === "ArrowDown" ? at + 1 : at - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      all[at]?.click();
    }
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  byId("search-close").addEventListener("click", () => dialog.close());

  return () => {
    if (dialog.open) return;
    field.value = "";
    dialog.showModal();
    field.focus();
    find();
  };
}

/**
 * @param {Listed | Found} row
 * @param {number} at
 */
function result(row, at) {
  const title = h(
    "span",
    { class: "result-title" },
    h("span", { dir: "auto" }, row.title),
    h("time", { datetime: row.updated_at }, shortDate(row.updated_at)),
  );
  const snippet = "snippet" in row && row.snippet;
  const said =
    snippet && h("p", { dir: "auto" }, snippet.before, h("mark", {}, snippet.match), snippet.after);
  const props = {
    class: "result",
    role: "option",
    id: `result-${at}`,
    href: address(`/c/${row.id}/`),
    tabindex: "-1",
    "aria-selected": "false",
  };
  return h("a", props, title, said);
}
