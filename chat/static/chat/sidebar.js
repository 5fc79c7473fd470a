// @ts-check
// The conversations: grouped by day, renamed, pinned, exported, deleted and brought back.

import { address } from "../shared/site.js";
import { call, words } from "./api.js";
import { byId, find, h, icon, iconButton } from "./dom.js";
import { setUpDrawer } from "./drawer.js";
import { dayGroup } from "./format.js";
import { onKey } from "./keys.js";
import { setUpMenu } from "./menu.js";
import { read, write } from "./store.js";
import { toast } from "./toast.js";

/**
 * @import { ConversationList, Listed } from "../shared/types.d.ts"
 * @import { Menu } from "./menu.js"
 */

const DELETED = "deleted";

export class Sidebar {
  /** @type {string | null} */
  renaming = null;
  /** @type {Menu | null} */
  opened = null;
  loading = false;
  /** @type {(title: string) => void} */
  ontitle = () => {};

  /**
   * @param {ConversationList} list the first page of GET /api/conversations
   * @param {string | null} current the id of the shown one
   */
  constructor(list, current) {
    this.rows = new Map(list.conversations.map((row) => [row.id, row]));
    this.next = list.next;
    this.current = current;
    this.place = byId("conversations");
    setUpDrawer();
    this.watcher = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.more(),
      { root: this.place, rootMargin: "300px" },
    );
    this.draw();
    this.place.querySelector(".current")?.scrollIntoView({ block: "nearest" });
    this.offerUndo();
  }

  /**
   * Add or change a conversation, and show it where it belongs.
   * @param {Partial<Listed> & {id: string}} row
   */
  put(row) {
    const known = this.rows.get(row.id);
    this.rows.set(row.id, {
      title: "",
      pinned: false,
      updated_at: new Date().toISOString(),
      ...known,
      ...row,
    });
    this.draw();
  }

  /** The conversations, in the order in which they are shown. */
  get sorted() {
    return [...this.rows.values()].sort(
      (one, other) =>
        Number(other.pinned) - Number(one.pinned) || other.updated_at.localeCompare(one.updated_at),
    );
  }

  /**
   * It has just been written to.
   * @param {string} id
   */
  touch(id) {
    if (this.rows.has(id)) this.put({ id, updated_at: new Date().toISOString() });
  }

  draw() {
    const focused = find(this.place, ":focus")?.dataset.focus;
    /** @type {Map<string, Listed[]>} */
    const groups = new Map();
    for (const row of this.sorted) {
      const name = row.pinned ? "Pinned" : dayGroup(row.updated_at);
      groups.set(name, [...(groups.get(name) ?? []), row]);
    }
    /** @type {HTMLElement[]} */
    const parts = [...groups].flatMap(([name, rows]) => [
      h("h2", {}, name),
      h("ul", {}, ...rows.map((row) => h("li", {}, this.row(row)))),
    ]);
    if (!parts.length) parts.push(h("p", { class: "none" }, "Your conversations will be listed here."));
    const end = h("div", { class: "more-conversations" });
    this.place.replaceChildren(...parts, end);
    this.watcher.disconnect();
    if (this.next) this.watcher.observe(end);
    if (focused) find(this.place, `[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  /** @param {Listed} row */
  row(row) {
    const current = row.id === this.current;
    if (this.renaming === row.id) return h("div", { class: "row current" }, this.nameField(row));
    const link = h(
      "a",
      {
        href: address(`/c/${row.id}/`),
        dir: "auto",
        title: row.title,
        "aria-current": current ? "page" : null,
        "data-focus": `row ${row.id}`,
      },
      row.title,
    );
    const dots = iconButton(
      "dots",
      `Options for ${row.title}`,
      (event) => this.openMenu(row, event.currentTarget),
      { title: null, "aria-haspopup": "menu", "aria-expanded": "false", "data-focus": `menu ${row.id}` },
    );
    return h("div", { class: current ? "row current" : "row" }, link, dots);
  }

  /**
   * @param {Listed} row
   * @param {HTMLElement} button
   */
  openMenu(row, button) {
    const common = { class: "menu-item", role: "menuitem", tabindex: "-1" };
    /** @type {(name: string, label: string, run: () => void, more?: object) => HTMLElement} */
    const item = (name, label, run, more = {}) => {
      const onclick = () => {
        menu.close(true);
        run();
      };
      return h("button", { ...common, type: "button", onclick, ...more }, icon(name), label);
    };
    /** @type {(ending: string, label: string) => HTMLElement} */
    const exported = (ending, label) => {
      const href = address(`/api/conversations/${row.id}/export.${ending}`);
      return h("a", { ...common, href, download: "", onclick: () => menu.close(true) }, icon("save"), label);
    };
    const element = h(
      "div",
      { class: "menu floating", role: "menu", "aria-label": `Options for ${row.title}`, hidden: true },
      item("pencil", "Rename", () => this.rename(row)),
      item("pin", row.pinned ? "Unpin" : "Pin", () => this.change(row, { pinned: !row.pinned })),
      exported("md", "Export as Markdown"),
      exported("json", "Export as JSON"),
      item("bin", "Delete", () => this.remove(row), { class: "menu-item danger" }),
    );
    byId("sidebar").append(element);
    // The button's own click has been used to come here: the menu is opened by hand, and forgotten when it closes.
    const anchor = /** @type {HTMLElement} */ (button.cloneNode());
    anchor.focus = () => button.focus();
    anchor.contains = (target) => button.contains(target);
    const menu = setUpMenu(anchor, element, () => {
      element.remove();
      button.setAttribute("aria-expanded", "false");
    });
    this.opened?.close(false);
    this.opened = menu;
    menu.open();
    button.setAttribute("aria-expanded", "true");
    const at = button.getBoundingClientRect();
    element.style.left = `${Math.min(at.left, innerWidth - element.offsetWidth - 8)}px`;
    const below = at.bottom + 4 + element.offsetHeight < innerHeight;
    element.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - element.offsetHeight - 4)}px`;
  }

  /** @param {Listed} row */
  rename(row) {
    this.renaming = row.id;
    this.draw();
    const field = this.place.querySelector("input");
    field?.focus();
    field?.select();
  }

  /** @param {Listed} row */
  nameField(row) {
    const field = h("input", { type: "text", dir: "auto", maxlength: "200", "aria-label": "Title" });
    field.value = row.title;
    let done = false;
    /** @param {boolean} keep */
    const finish = (keep) => {
      if (done) return;
      done = true;
      this.renaming = null;
      const title = field.value.trim();
      if (keep && title && title !== row.title) this.change(row, { title });
      else this.draw();
      find(this.place, `[data-focus="row ${row.id}"]`)?.focus();
    };
    onKey(field, (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.stopPropagation();
      event.preventDefault();
      finish(event.key === "Enter");
    });
    field.addEventListener("blur", () => finish(true));
    return field;
  }

  /**
   * @param {Listed} row
   * @param {Partial<Listed>} changes
   */
  async change(row, changes) {
    const before = { ...row };
    this.put({ ...row, ...changes });
    try {
      this.put(await call("PATCH", `/conversations/${row.id}`, changes));
      if (changes.title && row.id === this.current) this.ontitle(changes.title);
    } catch (error) {
      this.put(before);
      toast(words(error));
    }
  }

  /** @param {Listed} row */
  async remove(row) {
    try {
      await call("DELETE", `/conversations/${row.id}`);
    } catch (error) {
      toast(words(error));
      return;
    }
    if (row.id === this.current) {
      write(DELETED, row, "sessionStorage");
      location.assign(address("/"));
      return;
    }
    this.rows.delete(row.id);
    this.draw();
    this.undoable(row);
  }

  /** @param {Listed} row */
  undoable(row) {
    const run = async () => {
      try {
        this.put(await call("POST", `/conversations/${row.id}/restore`));
      } catch (error) {
        toast(words(error));
      }
    };
    const title = row.title.length > 40 ? `${row.title.slice(0, 40).trim()}…` : row.title;
    toast(`“${title}” was deleted.`, { label: "Undo", run }, 10_000);
  }

  /** The shown conversation was deleted on the page before this one. */
  offerUndo() {
    const row = read(DELETED, /** @type {Listed | null} */ (null), "sessionStorage");
    write(DELETED, null, "sessionStorage");
    if (row && !this.rows.has(row.id)) this.undoable(row);
  }

  async more() {
    if (!this.next || this.loading) return;
    this.loading = true;
    try {
      /** @type {ConversationList} */
      const page = await call("GET", `/conversations?before=${encodeURIComponent(this.next)}`);
      for (const row of page.conversations) if (!this.rows.has(row.id)) this.rows.set(row.id, row);
      this.next = page.next;
      this.draw();
    } catch (error) {
      toast(words(error));
    } finally {
      this.loading = false;
    }
  }
}
