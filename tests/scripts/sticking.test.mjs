// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { direction, gap, Sticking } from "../../chat/static/chat/sticking.js";

/** @param {number} scrollTop */
const box = (scrollTop, scrollHeight = 1000) => ({ scrollTop, scrollHeight, clientHeight: 400 });

function atTheEnd() {
  const sticking = new Sticking();
  sticking.note(box(600));
  return sticking;
}

test("keys stand for directions", () => {
  assert.deepEqual(
    ["ArrowUp", "PageUp", "Home", "ArrowDown", "PageDown", "End", "a"].map((key) => direction(key, false)),
    [-1, -1, -1, 1, 1, 1, 0],
  );
  assert.deepEqual([direction(" ", true), direction(" ", false)], [-1, 1]);
});

test("the end is left when the reader wants to go up, however little", () => {
  const sticking = atTheEnd();
  sticking.wants(-1, box(600));
  assert.equal(sticking.on, false);
  assert.equal(gap(box(600)), 0);
});

test("it is kept where nothing can be scrolled, and where the text shrinks", () => {
  const sticking = new Sticking();
  sticking.wants(-1, { scrollTop: 0, scrollHeight: 300, clientHeight: 400 });
  assert.equal(sticking.on, true);
  const shrunk = atTheEnd();
  shrunk.scrolled({ scrollTop: 500, scrollHeight: 900, clientHeight: 400 });
  assert.equal(shrunk.on, true);
});

test("who scrolls up without a wheel leaves it too", () => {
  const sticking = atTheEnd();
  sticking.scrolled(box(550));
  assert.equal(sticking.on, false);
});

test("who comes down to the end that he saw is back, though text has come since", () => {
  const sticking = atTheEnd();
  sticking.wants(-1, box(600));
  sticking.scrolled(box(500));
  sticking.wants(1, box(500));
  sticking.scrolled(box(590));
  assert.equal(sticking.on, false);
  sticking.scrolled(box(600, 1200));
  assert.equal(sticking.on, true);
});
