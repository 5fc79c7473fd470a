// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { colour, known } from "../../chat/static/chat/colours.js";
import { cells, FENCE, Fence, inline, side } from "../../chat/static/chat/marks.js";

/** @import { Open, Piece } from "../../chat/static/chat/colours.js" */

/**
 * The pieces of each line that have a colour.
 * @param {string} name
 * @param {string} text
 */
function coloured(name, text) {
  const language = known(name);
  assert.ok(language, name);
  /** @type {Open} */
  let open = null;
  /** @type {Piece[]} */
  const found = [];
  for (const line of text.split("\n")) {
    const { pieces, open: left } = colour(line, language, open);
    assert.equal(pieces.map(([, part]) => part).join(""), line, "nothing is lost");
    found.push(...pieces.filter(([kind]) => kind));
    open = left;
  }
  return found.map(([kind, part]) => `${kind}:${part}`);
}

test("code is coloured line by line", () => {
  assert.deepEqual(coloured("py", 'def f(x): # why\n  return "a#b", 1.5'), [
    "k:def",
    "f:f",
    "c:# why",
    "k:return",
    's:"a#b"',
    "m:1.5",
  ]);
  assert.deepEqual(coloured("JSON", '{"a": true}'), ['a:"a"', "m:true"]);
  assert.deepEqual(coloured("diff", "+a\n-b\n@@ 1"), ["added:+a", "gone:-b", "h:@@ 1"]);
  assert.deepEqual(coloured("sql", "SELECT 1 -- one"), ["k:SELECT", "m:1", "c:-- one"]);
});

test("what reaches over lines is remembered, and ends", () => {
  assert.deepEqual(coloured("js", "a /* b\nc */ let d"), ["c:/* b", "c:c */", "k:let"]);
  assert.deepEqual(coloured("py", '"""a\nb""" if'), ['s:"""a', 's:b"""', "k:if"]);
});

test("a language that is not known has no colours", () => {
  assert.equal(known("klingon"), undefined);
  assert.equal(known(undefined), undefined);
});

test("marks within a line become elements", () => {
  assert.deepEqual(inline("a **b *c* d**`e` [f](g) ~~h~~<br>i"), [
    "a ",
    { tag: "strong", inner: ["b ", { tag: "em", inner: ["c"] }, " d"] },
    { tag: "code", text: "e" },
    " ",
    "f",
    " ",
    { tag: "del", inner: ["h"] },
    { tag: "br" },
    "i",
  ]);
});

test("a mark that has just been opened is not shown, and a long line is left alone", () => {
  assert.deepEqual(inline("say **wor"), ["say wor"]);
  assert.deepEqual(inline("2 * 3"), ["2 * 3"]);
  const long = "*a* ".repeat(1000);
  assert.deepEqual(inline(long), [long]);
});

test("tables are cut into cells with their sides", () => {
  assert.deepEqual(cells("| a | b \\| c |"), [" a ", " b \\| c "]);
  assert.deepEqual(["---", ":-:", "--:"].map(side), ["", "center", "right"]);
});

/** @param {string} line */
function opened(line) {
  const match = line.match(FENCE);
  assert.ok(match, line);
  return new Fence(match[1], match[2], match[3]);
}

test("a fence ends its block, and a shorter one does not", () => {
  const fence = opened("  ````python x");
  assert.equal(fence.language, "python");
  assert.equal(fence.cut("    a"), "  a");
  assert.equal(fence.cut(" a"), "a");
  assert.equal(fence.ends("```"), false);
  assert.equal(fence.ends("```` more"), false);
  assert.equal(fence.ends("`````"), true);
});

test("fences within a block of Markdown nest", () => {
  const fence = opened("```md");
  assert.deepEqual(
    ["```js", "a", "```", "```"].map((line) => fence.ends(line)),
    [false, false, false, true],
  );
});
