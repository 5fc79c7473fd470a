// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../chat/static/chat/outbox.js";

/** @import { KeptFrame } from "../../models_admin/static/shared/types.d.ts" */

function storage() {
  /** @type {Map<string, string>} */
  const kept = new Map();
  return {
    kept,
    /** @type {(name: string, fallback: KeptFrame[]) => KeptFrame[]} */
    read: (name, fallback) => JSON.parse(kept.get(name) ?? "null") ?? fallback,
    /** @type {(name: string, value: KeptFrame[]) => void} */
    write: (name, value) => void kept.set(name, JSON.stringify(value)),
  };
}

/**
 * @param {string} id
 * @returns {KeptFrame}
 */
const frame = (id) => ({ type: "send", client_id: id, text: id });

test("frames outlive the page, until they are acknowledged", () => {
  const store = storage();
  const outbox = new Outbox("here", store);
  outbox.add(frame("a"));
  outbox.add(frame("b"));
  assert.equal(outbox.take("a")?.client_id, "a");
  assert.equal(outbox.take("a"), undefined);
  assert.deepEqual(new Outbox("here", store).frames, [frame("b")]);
  assert.deepEqual(new Outbox("elsewhere", store).frames, []);
});

test("frames without a conversation are kept once there is one", () => {
  const store = storage();
  const outbox = new Outbox(null, store);
  outbox.add(frame("a"));
  assert.equal(store.kept.size, 0);
  outbox.belongTo("new");
  assert.deepEqual(new Outbox("new", store).frames, [frame("a")]);
});

test("a refused frame does not wait until it is tried again", () => {
  const outbox = new Outbox("here", storage());
  outbox.add(frame("a"));
  assert.equal(outbox.refuse("b", "no"), undefined);
  const refused = outbox.refuse("a", "Too long.");
  assert.equal(refused?.refused, "Too long.");
  assert.deepEqual(outbox.waiting, []);
  if (refused) outbox.again(refused);
  assert.deepEqual(outbox.waiting, [frame("a")]);
});
