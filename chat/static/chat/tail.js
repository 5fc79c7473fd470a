// The text of a reply that no finished block covers yet, shown as it will stand there: with the elements that the server makes
// of it, so that nothing moves when the block takes its place. Line by line; only the last line is drawn again when text arrives.

import { Painter } from "./colours.js";
import { h } from "./dom.js";

const FENCE = /^([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}|~{3,})[ \t]*([^`]*)$/;
const MARKDOWN = new Set(["markdown", "md", "mdx"]);
const ITEM = /^([ \t]*)([-*+]|(\d{1,9})[.)])[ \t]+(\[[ xX]\][ \t]+)?/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const LONG = 3000; // characters of a line whose marks stay
const INLINE = /(\*\*|__)(?=\S)(.+?)(?<=\S)\1|(`+)(?!`)(.+?)(?<!`)\3(?!`)|\[([^\]\n]+)\]\([^()\s]*\)|\*(?=[^\s*])([^*]+?)(?<=\S)\*(?!\*)|~~(?=\S)(.+?)~~|<br ?\/?>/g;

export class Tail {
  constructor() {
    this.element = h("div", { class: "tail" });
    this.caret = h("span", { class: "caret", "aria-hidden": "true" });
    this.clear();
  }

  clear() {
    this.element.replaceChildren();
    this.text = "";
    this.start = 0; // where the last line begins
    this.line = null; // where it is drawn: {parent, nodes, undo}
    this.open = null; // what the next line may go on with: {kind, element, …}
    this.code = null; // the code block that is open
  }

  /** Show `text`; when it only goes on from what is shown, only the end is touched. */
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

  /** The last line is complete. */
  finish(line) {
    if (this.code) this.finishCode(line);
    else this.draw(line, true);
    this.line = null;
  }

  /** Draw the last line, which may go on unless it is `whole`. */
  draw(line, whole) {
    if (this.code) {
      this.code.open.data = this.code.cut(line);
      return;
    }
    this.line?.undo();
    this.line = null;
    const fence = whole && line.match(FENCE);
    const before = this.open;
    if (fence) this.openCode(fence);
    else if (!line.trim()) {
      if (this.open && whole) this.open.blank = true;
    } else if (!FENCE.test(line) && !RULE.test(line)) this.drawWords(line, whole);
    else if (whole) this.element.append(h("hr"));
    const undo = this.line?.undo;
    this.line = {
      undo: () => {
        undo?.();
        this.open = before;
      },
    };
  }

  drawWords(line, whole) {
    if (this.open?.blank && (this.open.kind !== "list" || /^\S/.test(line)) && !(this.open.kind === "list" && ITEM.test(line))) this.open = null;
    const head = line.match(/^ {0,3}(#{1,6})[ \t]+/);
    const item = line.match(ITEM);
    if (head && this.open?.kind !== "list") {
      this.open = null;
      this.add(this.element, h(`h${head[1].length}`, { dir: "auto" }, ...inline(line.slice(head[0].length).replace(/\s#+\s*$/, ""))));
    } else if (item) this.drawItem(line, item);
    else if (this.open?.kind === "list") this.goOn(this.open.items.at(-1).element, line.trim());
    else if (/^ {0,3}>/.test(line)) this.drawQuote(line.replace(/^[ >]*/, ""));
    else if (/^ {0,3}\|/.test(line)) this.drawRow(line, whole);
    else if (this.open?.kind === "text") this.goOn(this.open.element, line.trimStart());
    else {
      const element = h("p", { dir: "auto" }, ...inline(line.trimStart()));
      this.begin("text", element, element);
    }
  }

  /** Begin a block of a kind. */
  begin(kind, element, added, more = {}) {
    this.open = { kind, element, ...more };
    this.add(this.element, added);
  }

  add(parent, element) {
    parent.append(element);
    this.line = { undo: () => element.remove() };
  }

  /** One more line of a text. */
  goOn(element, text) {
    const nodes = [...(element.childNodes.length ? [h("br")] : []), ...inline(text)];
    element.append(...nodes);
    this.line = { undo: () => nodes.forEach((node) => node.remove?.()) };
  }

  drawItem(line, [whole, space, , number, box]) {
    const indent = space.replaceAll("\t", "    ").length;
    const before = this.open;
    const kept = before?.kind === "list" ? [...before.items] : [];
    const items = [...kept];
    while (items.length && items.at(-1).indent > indent) items.pop();
    let list = items.at(-1)?.indent === indent || (items.length && items.at(-1).indent >= indent - 1) ? items.at(-1).list : null;
    const tag = number ? "ol" : "ul";
    const element = h("li", {}, box && h("input", { type: "checkbox", disabled: true, checked: /x/i.test(box) }), box && " ", ...inline(line.slice(whole.length)));
    let made = element;
    if (list?.localName === tag) {
      items.pop();
      list.append(element);
    } else {
      list = h(tag, { dir: "auto", start: number && number !== "1" ? number : false }, element);
      made = list;
      if (items.at(-1)?.indent >= indent) items.pop();
      (items.at(-1)?.element ?? this.element).append(list);
    }
    const loose = before?.blank && kept.length > 0;
    if (loose) list.classList.add("loose");
    this.open = { kind: "list", items: [...items, { indent, list, element }] };
    this.line = { undo: () => made.remove() };
  }

  drawQuote(text) {
    if (this.open?.kind === "quote") this.goOn(this.open.element, text);
    else {
      const element = h("p", {}, ...inline(text));
      this.begin("quote", element, h("blockquote", { dir: "auto" }, element));
    }
  }

  drawRow(line, whole) {
    const cells = line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/);
    if (this.open?.kind !== "table") {
      const head = h("thead", {}, row("th", cells));
      const body = h("tbody");
      const table = h("div", { class: "table" }, h("table", { dir: "auto" }, head, body));
      this.begin("table", body, table, { sides: null });
    } else if (!this.open.sides) {
      if (whole) this.open.sides = cells.map((cell) => (/^\s*:-+:\s*$/.test(cell) ? "center" : /-:\s*$/.test(cell) ? "right" : ""));
    } else this.add(this.open.element, row("td", cells, this.open.sides));
  }

  openCode([, lead, run, info]) {
    const language = info.trim().split(/\s+/)[0];
    const open = document.createTextNode("");
    const element = h("code", { dir: "ltr" }, open);
    const head = h("div", { class: "code-head" }, h("span", { class: "code-lang" }, language || "text"));
    const within = this.open?.kind === "list" && lead.length > 1 ? this.open.items.at(-1).element : this.element;
    if (within === this.element) this.open = null;
    within.append(h("div", { class: "code" }, head, h("pre", { dir: "ltr" }, element)));
    const indent = lead.length;
    const cut = (line) => line.slice(Math.min(indent, line.length - line.trimStart().length));
    this.code = { run, element, open, cut, painter: new Painter(language), nests: MARKDOWN.has(language.toLowerCase()), inner: 0 };
  }

  finishCode(line) {
    const { code } = this;
    const fence = line.match(FENCE);
    code.open.data = "";
    if (fence?.[2].startsWith(code.run)) {
      if (!fence[3].trim() && code.inner === 0) {
        this.code = null;
        return;
      }
      if (!fence[3].trim()) code.inner -= 1;
      else if (code.nests) code.inner += 1;
    }
    code.open.before(...code.painter.line(code.cut(line)));
  }
}

const row = (tag, cells, sides = []) => h("tr", {}, ...cells.map((cell, at) => h(tag, { class: sides[at] || false }, ...inline(cell.trim()))));

/** Where the text ends. */
function deepest(element) {
  let at = element;
  while (at.lastElementChild && !["BR", "CODE", "STRONG", "EM", "DEL", "INPUT", "PRE"].includes(at.lastElementChild.nodeName)) at = at.lastElementChild;
  return at;
}

function inline(text) {
  if (text.length > LONG) return [document.createTextNode(text)];
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > at) nodes.push(text.slice(at, match.index));
    if (match[1]) nodes.push(h("strong", {}, ...inline(match[2])));
    else if (match[3]) nodes.push(h("code", { dir: "ltr" }, match[4]));
    else if (match[5]) nodes.push(match[5]);
    else if (match[6]) nodes.push(h("em", {}, ...inline(match[6])));
    else if (match[7]) nodes.push(h("del", {}, ...inline(match[7])));
    else nodes.push(h("br"));
    at = match.index + match[0].length;
  }
  // A mark that has just been opened is about to vanish: it is not shown.
  nodes.push(text.slice(at).replace(/(^|\s)(?:\*{1,2}|`)(?=(?:[^\s*`][^*`]*)?$)/, "$1"));
  return nodes.map((node) => (typeof node === "string" ? document.createTextNode(node) : node));
}
