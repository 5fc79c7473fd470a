// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, points } from "../../chat/static/chat/points.js";
import {
  apply,
  comparisonWith,
  hasEnded,
  initial,
  isOpen,
  last,
  prepend,
  shown,
} from "../../chat/static/chat/state.js";
import { backend, message } from "./wire.mjs";

/** @import { Message } from "../../models_admin/static/shared/types.d.ts" */

/** @param {Message[]} messages */
function greeted(messages, earlier = false) {
  const state = initial();
  apply(state, { type: "hello", account: 1, backend: backend(), messages, earlier });
  return state;
}

test("characters are counted as the server counts them", () => {
  assert.equal(points("a😀b"), 3);
  assert.equal(advance("a😀b", 0, 2), 3);
  assert.equal(advance("a😀b", 3, 5), 4);
});

test("deltas go on from what is known, and a repeat adds nothing", () => {
  const state = greeted([message(1), message(2, { status: "queued", text: "He" })]);
  const reply = state.messages.get(2);
  assert.deepEqual(apply(state, { type: "delta", id: 2, offset: 2, text: "l😀" }), [
    { what: "grown", id: 2 },
  ]);
  assert.equal(reply?.status, "streaming");
  assert.deepEqual(apply(state, { type: "delta", id: 2, offset: 2, text: "l😀" }), []);
  apply(state, { type: "delta", id: 2, offset: 3, text: "😀o" });
  assert.equal(reply?.text, "Hel😀o");
  apply(state, { type: "delta", id: 2, offset: 0, reasoning: "Hm" });
  assert.equal(reply?.reasoning, "Hm");
});

test("a gap asks for the whole message", () => {
  const state = greeted([message(1), message(2, { status: "streaming", text: "He" })]);
  const wanted = [{ what: "resync", id: 2 }];
  assert.deepEqual(apply(state, { type: "delta", id: 2, offset: 9, text: "x" }), wanted);
  assert.deepEqual(apply(state, { type: "block", id: 2, upto: 9, html: "<p>" }), wanted);
  assert.deepEqual(apply(state, { type: "delta", id: 9, offset: 0, text: "x" }), []);
});

test("a block covers text once", () => {
  const state = greeted([message(1), message(2, { status: "streaming", text: "😀a\nb" })]);
  const event = /** @type {const} */ ({ type: "block", id: 2, upto: 3, html: "<p>😀a</p>" });
  assert.equal(apply(state, event).length, 1);
  assert.equal(apply(state, event).length, 0);
  assert.equal(state.messages.get(2)?.uptoUnits, 4);
  assert.deepEqual(state.messages.get(2)?.blocks, ["<p>😀a</p>"]);
});

test("an older snapshot tells nothing, and one that knows less text keeps what is there", () => {
  const state = greeted([message(1), message(2, { revision: 3, status: "streaming", text: "Hello" })]);
  apply(state, { type: "message", message: message(2, { revision: 2, text: "older, and longer" }) });
  assert.equal(state.messages.get(2)?.text, "Hello");
  apply(state, { type: "message", message: message(2, { revision: 3, text: "He", queue_position: 4 }) });
  assert.equal(state.messages.get(2)?.text, "Hello");
  assert.equal(state.messages.get(2)?.queue_position, 4);
});

test("a message is shown only where it goes on from the last one, and acknowledged anywhere", () => {
  const state = greeted([message(1), message(2)]);
  const acknowledged = { what: "acknowledged", client_id: "c" };
  const other = message(9, { parent: 1, client_id: "c" });
  assert.deepEqual(apply(state, { type: "message", message: other }), [acknowledged]);
  const next = message(3, { client_id: "c" });
  assert.deepEqual(apply(state, { type: "message", message: next }), [
    { what: "message", id: 3 },
    acknowledged,
  ]);
  assert.deepEqual(
    shown(state).map((each) => each.id),
    [1, 2, 3],
  );
});

test("older messages go in front, and stay after the next greeting", () => {
  const state = greeted([message(3), message(4)], true);
  assert.deepEqual(prepend(state, { messages: [message(8)], earlier: true }), []);
  prepend(state, { messages: [message(1), message(2)], earlier: false });
  assert.deepEqual(state.order, [1, 2, 3, 4]);
  const again = [message(3), message(4)];
  apply(state, { type: "hello", account: 1, backend: backend(), messages: again, earlier: true });
  assert.deepEqual(state.order, [1, 2, 3, 4]);
  assert.equal(state.earlier, false);
});

test("the last open message is found", () => {
  const state = greeted([message(1), message(2, { status: "queued" }), message(3)]);
  assert.equal(last(state, isOpen)?.id, 2);
  assert.equal(
    last(state, (each) => each.status === "failed"),
    undefined,
  );
});

test("the conversation is as it was told last", () => {
  const state = initial();
  state.conversation = { id: "x", title: "Old" };
  const told = { id: "x", title: "New", alias: "", system_prompt: "", temperature: 1, max_tokens: null };
  apply(state, { type: "conversation", conversation: told });
  assert.deepEqual(state.conversation, told);
});

test("a comparison stands beside its reply, whatever is said after that", () => {
  const state = greeted([message(1), message(2)]);
  const beside = message(9, { parent: 1, compared_with: 2, status: "awaiting" });
  assert.deepEqual(apply(state, { type: "message", message: beside }), [{ what: "message", id: 9 }]);
  apply(state, { type: "message", message: message(3, { parent: 2 }) });
  assert.deepEqual(state.order, [1, 2, 3]);
  assert.equal(comparisonWith(state, 2)?.id, 9);
  assert.equal(comparisonWith(state, 3), undefined);
  apply(state, { type: "delta", id: 9, offset: 0, text: "Hm" });
  assert.equal(comparisonWith(state, 2)?.text, "Hm");
  assert.ok(!isOpen(beside) && !hasEnded(beside));
});

test("a comparison with a reply that is not shown has no place", () => {
  const state = greeted([message(1), message(2)]);
  const elsewhere = message(9, { parent: 5, compared_with: 6 });
  assert.deepEqual(apply(state, { type: "message", message: elsewhere }), []);
  assert.equal(state.messages.has(9), false);
});

test("comparisons with older messages stay through a hello, and come with older pages", () => {
  const state = greeted([message(3), message(4)], true);
  const beside = message(9, { parent: 1, compared_with: 2 });
  assert.equal(prepend(state, { messages: [message(1), message(2), beside], earlier: false }).length, 1);
  assert.deepEqual(state.order, [1, 2, 3, 4]);
  apply(state, {
    type: "hello",
    account: 1,
    backend: backend(),
    messages: [message(3), message(4)],
    earlier: true,
  });
  assert.deepEqual(state.order, [1, 2, 3, 4]);
  assert.equal(comparisonWith(state, 2)?.id, 9);
});
