// @ts-check
// The marks of Markdown, as far as text that is still being written is drawn by them (tail.js). No DOM here.

export const FENCE = /^([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}|~{3,})[ \t]*([^`]*)$/;
export const ITEM = /^([ \t]*)([-*+]|(\d{1,9})[.)])[ \t]+(\[[ xX]\][ \t]+)?/;
export const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const MARKDOWN = new Set(["markdown", "md", "mdx"]);
const LONG = 3000; // characters of a line whose marks stay
const INLINE = new RegExp(
  [
    /(?<strong>\*\*|__)(?=\S)(?<inStrong>.+?)(?<=\S)\k<strong>/,
    /(?<code>`+)(?!`)(?<inCode>.+?)(?<!`)\k<code>(?!`)/,
    /\[(?<link>[^\]\n]+)\]\([^()\s]*\)/, // its words are shown
    /\*(?=[^\s*])(?<em>[^*]+?)(?<=\S)\*(?!\*)/,
    /~~(?=\S)(?<del>.+?)~~/,
    /<br ?\/?>/,
  ]
    .map((each) => each.source)
    .join("|"),
  "g",
);

/** @typedef {{tag: "strong" | "em" | "del", inner: Inline[]} | {tag: "code", text: string} | {tag: "br"}} Marked */

/** @typedef {string | Marked} Inline plain text, or what stands between marks */

/**
 * A line of text by its marks.
 * @param {string} text
 * @returns {Inline[]}
 */
export function inline(text) {
  if (text.length > LONG) return [text];
  /** @type {Inline[]} */
  const found = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > at) found.push(text.slice(at, match.index));
    found.push(marked(match.groups ?? {}));
    at = match.index + match[0].length;
  }
  // A mark that has just been opened is about to vanish: it is not shown.
  found.push(text.slice(at).replace(/(^|\s)(?:\*{1,2}|`)(?=(?:[^\s*`][^*`]*)?$)/, "$1"));
  return found;
}

/**
 * @param {Record<string, string | undefined>} groups of INLINE
 * @returns {Inline}
 */
function marked({ inStrong, inCode, link, em, del }) {
  if (inStrong) return { tag: "strong", inner: inline(inStrong) };
  if (inCode) return { tag: "code", text: inCode };
  if (link) return link;
  if (em) return { tag: "em", inner: inline(em) };
  return del ? { tag: "del", inner: inline(del) } : { tag: "br" };
}

/**
 * The cells of a table's row.
 * @param {string} line
 */
export const cells = (line) =>
  line
    .trim()
    .replace(/^\||\|$/g, "")
    .split(/(?<!\\)\|/);

/**
 * The side that a column's cells stand on, by its cell in the row of dashes; "" is the usual one.
 * @param {string} cell
 */
export const side = (cell) => (/^\s*:-+:\s*$/.test(cell) ? "center" : /-:\s*$/.test(cell) ? "right" : "");

/** A code block that is open, which a fence opened and another one ends. */
export class Fence {
  inner = 0; // fences within a block of Markdown that are open

  /**
   * @param {string} lead what stands in front of the fence
   * @param {string} run the fence itself
   * @param {string} info what stands behind it
   */
  constructor(lead, run, info) {
    this.run = run;
    this.indent = lead.length;
    this.language = info.trim().split(/\s+/)[0];
    this.nests = MARKDOWN.has(this.language.toLowerCase());
  }

  /**
   * A line without the indentation that the fence has too.
   * @param {string} line
   */
  cut(line) {
    return line.slice(Math.min(this.indent, line.length - line.trimStart().length));
  }

  /**
   * Take the next whole line; whether it ends the block.
   * @param {string} line
   */
  ends(line) {
    const fence = line.match(FENCE);
    if (!fence?.[2].startsWith(this.run)) return false;
    if (fence[3].trim()) this.inner += this.nests ? 1 : 0;
    else if (this.inner === 0) return true;
    else this.inner -= 1;
    return false;
  }
}
