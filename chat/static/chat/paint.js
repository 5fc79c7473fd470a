// @ts-check
// Puts the colours of code (colours.js) on the page.

import { colour, known } from "./colours.js";

/**
 * @import { Open, Piece } from "./colours.js"
 * @import { Language } from "./languages.js"
 */

const LONGEST = 20_000; // characters of a block that are coloured
const AT_ONCE = 40_000; // characters that are coloured without waiting for the browser to be idle

/** @param {Piece[]} pieces of a coloured line */
const nodes = (pieces) =>
  pieces.map(([kind, text]) => {
    if (!kind) return document.createTextNode(text);
    const span = document.createElement("span");
    span.className = kind;
    span.append(text);
    return span;
  });

/**
 * @param {HTMLElement} code
 * @param {Language} language
 */
function paintOne(code, language) {
  const text = code.textContent ?? "";
  const lines = text.slice(0, LONGEST).split("\n");
  const rest = text.slice(LONGEST);
  const painted = document.createDocumentFragment();
  /** @type {Open} */
  let open = null;
  lines.forEach((line, number) => {
    const found = colour(line, language, open);
    open = found.open;
    painted.append(...nodes(found.pieces), number < lines.length - 1 ? "\n" : "");
  });
  painted.append(rest);
  code.replaceChildren(painted);
  code.normalize();
}

/** @type {{code: HTMLElement, language: Language}[]} */
const waiting = [];
let spent = 0;

/** @type {(work: (deadline: Pick<IdleDeadline, "timeRemaining">) => void) => void} */
const later =
  globalThis.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 10 }), 30));

/** @param {Pick<IdleDeadline, "timeRemaining">} deadline */
function work(deadline) {
  spent = 0;
  do {
    const next = waiting.shift();
    if (next?.code.isConnected) paintOne(next.code, next.language);
  } while (waiting.length && deadline.timeRemaining() > 4);
  if (waiting.length) later(work);
}

function forget() {
  spent = 0;
}

/**
 * Colour the code within `elements`: at once, or when the browser is idle where that is much.
 * @param {Element[]} elements
 */
export function paint(elements) {
  for (const code of elements.flatMap((element) => [...element.querySelectorAll("code")])) {
    const language = known(code.dataset.language);
    if (!language) continue;
    if (!spent && !waiting.length) setTimeout(forget);
    spent += Math.min(code.textContent?.length ?? 0, LONGEST);
    if (spent < AT_ONCE && !waiting.length) paintOne(code, language);
    else if (waiting.push({ code, language }) === 1) later(work);
  }
}

/** Colours for code that is still being written: as `colour`, until it is too long to be coloured in the end. */
export class Painter {
  /** @type {Open} */
  open = null;
  room = LONGEST;

  /** @param {string} language as a fence names it */
  constructor(language) {
    this.language = known(language);
  }

  /**
   * The nodes of the next whole line.
   * @param {string} text
   */
  line(text) {
    this.room -= text.length + 1;
    if (!this.language || this.room < 0) return [document.createTextNode(`${text}\n`)];
    const found = colour(text, this.language, this.open);
    this.open = found.open;
    return [...nodes(found.pieces), document.createTextNode("\n")];
  }
}
