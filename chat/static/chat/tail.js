// @ts-check
// The text of a reply that no finished block covers yet, shown as it will stand there: with the elements that the
// server makes of it, so that nothing moves when the block takes its place. Line by line; only the last line is
// drawn again when text arrives.

import { h } from "./dom.js";
import { cells, FENCE, Fence, ITEM, inline, RULE, side } from "./marks.js";
import { Painter } from "./paint.js";

/** @import { Inline } from "./marks.js" */

/** @typedef {{indent: number, list: HTMLElement, element: HTMLElement}} Item of a list */

/**
 * What the next line may go on with; `blank`: an empty line has come since.
 * @typedef {(
 *   | {kind: "text" | "quote", element: HTMLElement}
 *   | {kind: "table", element: HTMLElement, sides: string[] | null}
 *   | {kind: "list", items: Item[]}
 * ) & {blank?: boolean}} Open
 */

/**
 * The code block that is open. `open`: its last line, which may go on.
 * @typedef {{fence: Fence, painter: Painter, element: HTMLElement, open: Text}} Code
 */

export class Tail {
  element = h("div", { class: "tail" });
  caret = h("span", { class: "caret", "aria-hidden": "true" });
  text = "";
  start = 0; // where the last line begins
  /** @type {(() => void) | null} */
  undo = null; // takes away what is drawn of the last line
  /** @type {Open | null} */
  open = null;
  /** @type {Code | null} */
  code = null;

  clear() {
    this.element.replaceChildren();
    this.text = "";
    this.start = 0;
    this.undo = this.open = this.code = null;
  }

  /**
   * Show `text`; when it only goes on from what is shown, only the end is touched.
   * @param {string} text
   */
  show(text, { caret = true } = {}) {
    if (!text.startsWith(this.text)) this.clear();
    this.text = text;
    this.caret.remove();
    for (let end = text.indexOf("\n", this.start); end >= 0; end = text.indexOf("\n", this.start)) {
      this.finish(text.slice(this.start, end));
      this.start = end + 1;
    }
    if (this.start < text.length) this.draw(text.slice(this.start), false);
    if (caret) (this.code?.element ?? deepest(this.element)).append(this.caret);
  }

  /**
   * The last line is complete.
   * @param {string} line
   */
  finish(line) {
    if (this.code) this.finishCode(this.code, line);
    else this.draw(line, true);
    this.undo = null;
  }

  /**
   * Draw the last line, which may go on unless it is `whole`.
   * @param {string} line
   * @param {boolean} whole
   */
  draw(line, whole) {
    if (this.code) {
      this.code.open.data = this.code.fence.cut(line);
      return;
    }
    this.undo?.();
    this.undo = null;
    const fence = whole && line.match(FENCE);
    const before = this.open;
    if (fence) this.openCode(fence);
    else if (!line.trim()) {
      if (this.open && whole) this.open.blank = true;
    } else if (!FENCE.test(line) && !RULE.test(line)) this.drawWords(line, whole);
    else if (whole) this.element.append(h("hr"));
    const undo = /** @type {(() => void) | null} */ (this.undo);
    this.undo = () => {
      undo?.();
      this.open = before;
    };
  }

  /**
   * @param {string} line
   * @param {boolean} whole
   */
  drawWords(line, whole) {
    const item = line.match(ITEM);
    const inList = this.open?.kind === "list" && (item !== null || !/^\S/.test(line));
    if (this.open?.blank && !inList) this.open = null;
    const head = line.match(/^ {0,3}(#{1,6})[ \t]+/);
    if (head && this.open?.kind !== "list") {
      this.open = null;
      const tag = /** @type {"h1"} */ (`h${head[1].length}`);
      this.add(h(tag, { dir: "auto" }, ...drawn(line.slice(head[0].length).replace(/\s#+\s*$/, ""))));
    } else if (item) this.drawItem(line, item);
    else if (this.open?.kind === "list")
      this.goOn(this.open.items[this.open.items.length - 1].element, line.trim());
    else if (/^ {0,3}>/.test(line)) this.drawQuote(line.replace(/^[ >]*/, ""));
    else if (/^ {0,3}\|/.test(line)) this.drawRow(line, whole);
    else if (this.open?.kind === "text") this.goOn(this.open.element, line.trimStart());
    else {
      const element = h("p", { dir: "auto" }, ...drawn(line.trimStart()));
      this.begin({ kind: "text", element }, element);
    }
  }

  /**
   * Begin a block.
   * @param {Open} open
   * @param {HTMLElement} element all of it
   */
  begin(open, element) {
    this.open = open;
    this.add(element);
  }

  /**
   * @param {HTMLElement} element
   * @param {HTMLElement} parent
   */
  add(element, parent = this.element) {
    parent.append(element);
    this.undo = () => element.remove();
  }

  /**
   * One more line of a text.
   * @param {HTMLElement} element
   * @param {string} text
   */
  goOn(element, text) {
    const nodes = [...(element.childNodes.length ? [h("br")] : []), ...drawn(text)];
    element.append(...nodes);
    this.undo = () => {
      for (const each of nodes) each.remove();
    };
  }

  /**
   * @param {string} line
   * @param {RegExpMatchArray} match of ITEM
   */
  drawItem(line, [whole, space, , number, box]) {
    const indent = space.replaceAll("\t", "    ").length;
    const before = this.open;
    const items = before?.kind === "list" ? [...before.items] : [];
    const loose = before?.blank && items.length > 0;
    while ((items.at(-1)?.indent ?? -1) > indent) items.pop();
    const last = items.at(-1);
    const beside = last && last.indent >= indent - 1 ? last.list : null;
    const tag = number ? "ol" : "ul";
    const check = box && h("input", { type: "checkbox", disabled: true, checked: /x/i.test(box) });
    const element = h("li", {}, check, box && " ", ...drawn(line.slice(whole.length)));
    let list = beside;
    if (list?.localName === tag) {
      items.pop();
      this.add(element, list);
    } else {
      list = h(tag, { dir: "auto", start: number && number !== "1" ? number : false }, element);
      if ((last?.indent ?? -1) >= indent) items.pop();
      this.add(list, items.at(-1)?.element ?? this.element);
    }
    if (loose) list.classList.add("loose");
    this.open = { kind: "list", items: [...items, { indent, list, element }] };
  }

  /** @param {string} text */
  drawQuote(text) {
    if (this.open?.kind === "quote") this.goOn(this.open.element, text);
    else {
      const element = h("p", {}, ...drawn(text));
      this.begin({ kind: "quote", element }, h("blockquote", { dir: "auto" }, element));
    }
  }

  /**
   * @param {string} line
   * @param {boolean} whole
   */
  drawRow(line, whole) {
    const texts = cells(line);
    if (this.open?.kind !== "table") {
      const head = h("thead", {}, row("th", texts));
      const element = h("tbody");
      const table = h("div", { class: "table" }, h("table", { dir: "auto" }, head, element));
      this.begin({ kind: "table", element, sides: null }, table);
    } else if (this.open.sides) this.add(row("td", texts, this.open.sides), this.open.element);
    else if (whole) this.open.sides = texts.map(side);
  }

  /** @param {RegExpMatchArray} match of FENCE */
  openCode([, lead, run, info]) {
    const fence = new Fence(lead, run, info);
    const open = document.createTextNode("");
    const element = h("code", { dir: "ltr" }, open);
    const head = h(
      "div",
      { class: "code-head" },
      h("span", { class: "code-lang" }, fence.language || "text"),
    );
    const within = lead.length > 1 && this.open?.kind === "list" && this.open.items.at(-1)?.element;
    if (!within) this.open = null;
    (within || this.element).append(h("div", { class: "code" }, head, h("pre", { dir: "ltr" }, element)));
    this.code = { fence, painter: new Painter(fence.language), element, open };
  }

  /**
   * @param {Code} code
   * @param {string} line
   */
  finishCode(code, line) {
    code.open.data = "";
    if (code.fence.ends(line)) this.code = null;
    else code.open.before(...code.painter.line(code.fence.cut(line)));
  }
}

/**
 * @param {"th" | "td"} tag
 * @param {string[]} texts
 * @param {string[]} sides
 */
const row = (tag, texts, sides = []) =>
  h("tr", {}, ...texts.map((text, at) => h(tag, { class: sides[at] || false }, ...drawn(text.trim()))));

/**
 * Where the text ends.
 * @param {Element} element
 */
function deepest(element) {
  let at = element;
  while (
    at.lastElementChild &&
    !["BR", "CODE", "STRONG", "EM", "DEL", "INPUT", "PRE"].includes(at.lastElementChild.nodeName)
  )
    at = at.lastElementChild;
  return at;
}

/**
 * The nodes of a line of text.
 * @param {string} text
 */
const drawn = (text) => inline(text).map(node);

/**
 * @param {Inline} part
 * @returns {Text | HTMLElement}
 */
function node(part) {
  if (typeof part === "string") return document.createTextNode(part);
  if (part.tag === "br") return h("br");
  if (part.tag === "code") return h("code", { dir: "ltr" }, part.text);
  return h(part.tag, {}, ...part.inner.map(node));
}
