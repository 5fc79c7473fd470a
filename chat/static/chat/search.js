// Search over titles and messages: Ctrl/⌘ K, arrows, Enter.

import { call } from "./api.js";
import { byId, h } from "./dom.js";
import { plural, shortDate } from "./format.js";
import { onKey } from "./keys.js";
import { address } from "./site.js";

const PAUSE = 140;

/** `recent()` returns the conversations to offer before anything is typed. Returns a function that opens the search. */
export function setUpSearch(recent) {
  const dialog = byId("search");
  const field = byId("search-text");
  const list = byId("search-results");
  const status = byId("search-status");
  let asked = 0;
  let timer = null;

  function show(results, nothing) {
    const rows = results.map((row, at) => result(row, at));
    list.replaceChildren(...(rows.length ? rows : [h("p", { class: "none" }, nothing)]));
    select(0);
  }

  function result(row, at) {
    const title = h("span", { class: "result-title" }, h("span", { dir: "auto" }, row.title), h("time", { datetime: row.updated_at }, shortDate(row.updated_at)));
    const { before, match, after } = row.snippet ?? {};
    const words = row.snippet && h("p", { dir: "auto" }, before, h("mark", {}, match), after);
    return h("a", { class: "result", role: "option", id: `result-${at}`, href: address(`/c/${row.id}/`), tabindex: "-1", "aria-selected": "false" }, title, words);
  }

  const rows = () => [...list.querySelectorAll(".result")];

  function select(at) {
    const all = rows();
    if (!all.length) {
      field.removeAttribute("aria-activedescendant");
      return;
    }
    const chosen = all.at(at % all.length);
    for (const row of all) row.setAttribute("aria-selected", String(row === chosen));
    field.setAttribute("aria-activedescendant", chosen.id);
    chosen.scrollIntoView({ block: "nearest" });
  }

  async function find() {
    const query = field.value.trim();
    const number = (asked += 1);
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
      if (number === asked) show([], error.message);
    }
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE);
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
