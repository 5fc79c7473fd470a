// The text of a reply that no finished block covers yet, shown so that it looks nearly as it will: line by line, with the
// few marks that a reader would stumble over taken away. Only the last line is drawn again when text arrives.

import { h } from "./dom.js";

const FENCE = /^\s*(`{3,}|~{3,})\s*([^\s`]*)/;
const INLINE = /(\*\*|__)(?=\S)(.+?)(?<=\S)\1|(`+)(?!`)(.+?)(?<!`)\3(?!`)|\[([^\]\n]+)\]\([^()\s]*\)|\*(?=[^\s*])([^*]+?)(?<=\S)\*(?!\*)/g;

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
    this.line = null; // its element
    this.code = null; // {fence, element, done, open}: the code block that is open
  }

  /** Show `text`; when it only goes on from what is shown, only the end is touched. */
  show(text, { caret = true } = {}) {
    if (!text.startsWith(this.text)) this.clear();
    this.text = text;
    for (let end = text.indexOf("\n", this.start); end >= 0; end = text.indexOf("\n", this.start)) {
      this.finish(text.slice(this.start, end));
      this.start = end + 1;
    }
    if (this.start < text.length) this.draw(text.slice(this.start));
    if (caret) (this.code?.element ?? this.line ?? this.element).append(this.caret);
    else this.caret.remove();
  }

  /** The last line is complete. */
  finish(line) {
    const fence = line.match(FENCE);
    if (this.code) {
      if (fence?.[1].startsWith(this.code.fence) && !fence[2]) {
        this.code.open.data = "";
        this.code = null;
      } else {
        this.code.done.appendData(`${line}\n`);
        this.code.open.data = "";
      }
    } else if (fence) {
      this.line?.remove();
      this.openCode(fence[1], fence[2]);
    } else this.draw(line);
    this.line = null;
  }

  openCode(fence, language) {
    const done = document.createTextNode("");
    const open = document.createTextNode("");
    const element = h("code", {}, done, open);
    const head = h("div", { class: "code-head" }, h("span", { class: "code-lang" }, language || "Text"));
    this.element.append(h("div", { class: "code" }, head, h("pre", {}, element)));
    this.code = { fence, element, done, open };
  }

  /** Draw the last line, which may go on. */
  draw(line) {
    if (this.code) {
      this.code.open.data = line;
      return;
    }
    if (!this.line) {
      this.line = h("div", { class: "line", dir: "auto" });
      this.element.append(this.line);
    }
    const [kind, body, marker] = shape(line);
    this.line.className = `line ${kind}`.trim();
    this.line.replaceChildren(...(kind === "cells" ? [body] : inline(body)));
    if (marker) this.line.prepend(h("span", { class: "marker" }, `${marker} `));
  }
}

/** What kind of line it is, its text without the mark that says so, and what a list shows in the mark's place. */
function shape(line) {
  const head = line.match(/^ {0,3}#{1,6}\s+/);
  if (head) return ["head", line.slice(head[0].length)];
  const item = line.match(/^(\s*)(?:[-*+]|(\d{1,9}[.)]))\s+/);
  if (item) return [item[1].length > 1 ? "item deep" : "item", line.slice(item[0].length), item[2] ?? "•"];
  if (/^ {0,3}>/.test(line)) return ["quote", line.replace(/^ {0,3}> ?/, "")];
  if (/^ {0,3}\|/.test(line)) return ["cells", line];
  return ["", FENCE.test(line) ? "" : line];
}

function inline(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > at) nodes.push(text.slice(at, match.index));
    if (match[1]) nodes.push(h("strong", {}, ...inline(match[2])));
    else if (match[3]) nodes.push(h("code", {}, match[4]));
    else if (match[5]) nodes.push(match[5]);
    else nodes.push(h("em", {}, ...inline(match[6])));
    at = match.index + match[0].length;
  }
  // A mark that has just been opened is about to vanish: it is not shown.
  nodes.push(text.slice(at).replace(/(^|\s)(?:\*{1,2}|`)(?=(?:[^\s*`][^*`]*)?$)/, "$1"));
  return nodes;
}
