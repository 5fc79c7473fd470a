// @ts-check
// The colours of code, found in the browser of whoever looks at it, so that no code can hold up anybody else's reply.
//
// Line by line; each line is read once, by one pattern whose alternatives neither nest nor overlap, so that the time
// grows with the text. What reaches over lines (a comment, a long string) is remembered by what ends it. No DOM here.

import { CONSTANTS, LANGUAGES } from "./languages.js";

/** @import { Language } from "./languages.js" */

/** @typedef {[end: string, kind: string] | null} Open what a line has left open */

/** @typedef {[kind: string, text: string]} Piece of a line; the kind is a class, or "" */

/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * The pattern of a language: what begins a long piece, a comment to the end of the line, a string, a number, a word.
 * @param {Language} language
 */
function pattern(language) {
  if (language.pattern) return language.pattern;
  const long = language.long.map(([begin]) => escaped(begin)).join("|") || "(?!)";
  const comment = language.line
    ? `${language.spaced ? "(?<![^\\s])" : ""}${escaped(language.line)}.*`
    : "(?!)";
  const string = language.markup ? '"[^"]*"?' : "\"(?:[^\"\\\\]|\\\\.)*\"?|'(?:[^'\\\\]|\\\\.)*'?";
  const number = "\\b\\d[\\w.]*";
  const word = language.markup
    ? "</?[\\w:-]+|[\\w:-]+"
    : language.keys
      ? "[\\p{L}_$@-][\\p{L}\\d_$.-]*"
      : "[\\p{L}_$@][\\p{L}\\d_$]*";
  language.pattern = new RegExp(`(${long})|(${comment})|(${string})|(${number})|(${word})`, "gu");
  return language.pattern;
}

/**
 * What `language` (as a fence names it) is to colour(); undefined where it is not known.
 * @param {string | undefined} language
 */
export const known = (language) => LANGUAGES.get((language ?? "").toLowerCase());

/**
 * Colour one line.
 * @param {string} line
 * @param {Language} language
 * @param {Open} open what the line before has left open, null at first
 * @returns {{pieces: Piece[], open: Open}}
 */
export function colour(line, language, open = null) {
  if (language.diff) return { pieces: [[diffClass(line), line]], open: null };
  /** @type {Piece[]} */
  const pieces = [];
  let at = 0;
  /** @type {(kind: string, end: number) => void} */
  const add = (kind, end) => {
    if (end > at) {
      const before = pieces.at(-1);
      if (before?.[0] === kind) before[1] += line.slice(at, end);
      else pieces.push([kind, line.slice(at, end)]);
    }
    at = end;
  };
  /** @type {(what: [end: string, kind: string], from: number) => Open} */
  const close = (what, from) => {
    const end = line.indexOf(what[0], from);
    add(what[1], end < 0 ? line.length : end + what[0].length);
    return end < 0 ? what : null;
  };
  let left = open && close(open, 0);
  const find = pattern(language);
  for (find.lastIndex = at; at < line.length && !left; ) {
    const match = find.exec(line);
    if (!match) break;
    add("", match.index);
    const long = match[1] !== undefined && language.long.find(([begin]) => begin === match[1]);
    if (long) left = close([long[1], long[2]], match.index + match[1].length);
    else add(kindOf(match, line, language), match.index + match[0].length);
    find.lastIndex = at;
  }
  add("", line.length);
  return { pieces, open: left };
}

/**
 * @param {RegExpExecArray} match
 * @param {string} line
 * @param {Language} language
 */
function kindOf(match, line, language) {
  const [text, , comment, string, number] = match;
  if (comment !== undefined) return "c";
  const end = match.index + text.length;
  const next = line[end] === " " ? line[end + 1] : line[end];
  const key = next !== undefined && (language.keys ?? "").includes(next);
  if (string !== undefined) return key ? "a" : "s";
  if (number !== undefined) return "m";
  if (language.markup) return text.startsWith("<") ? "k" : key ? "a" : "";
  if (language.keywords.has(language.caseless ? text.toLowerCase() : text)) return "k";
  if (CONSTANTS.has(text)) return "m";
  if (key) return "a";
  if (language.builtins.has(text)) return "b";
  return next === "(" && !language.keys ? "f" : "";
}

/** @param {string} line */
function diffClass(line) {
  if (/^(?:@@|diff |index |---|\+\+\+)/.test(line)) return "h";
  return line.startsWith("+") ? "added" : line.startsWith("-") ? "gone" : "";
}
