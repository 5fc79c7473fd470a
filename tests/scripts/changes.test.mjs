// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { concerns, key, step } from "../../models_admin/static/models_admin/changes.js";
import { Refresher } from "../../models_admin/static/models_admin/refresher.js";
import { backend, change, rollout, server } from "./wire.mjs";

/** @import { Backend } from "../../models_admin/static/shared/types.d.ts" */

/** @param {Backend} snapshot */
const shown = (snapshot) => ({ key: key(snapshot), step: step(snapshot) });
const loading = backend({ state: "switching", switch: change() });
const unloading = backend({ state: "switching", switch: change({ state: "unloading" }) });

test("progress, replies and the check after a load change no words of the page", () => {
  const verifying = backend({
    state: "switching",
    switch: change({ state: "verifying", percent: 100 }),
    replying: 3,
  });
  assert.equal(concerns(verifying, shown(loading), ["qwen-7B"]), false);
});

test("a step concerns only pages that list one of the two models", () => {
  assert.equal(concerns(loading, shown(unloading), ["qwen-7B"]), true);
  assert.equal(concerns(loading, shown(unloading), ["llama-8B"]), true);
  assert.equal(concerns(loading, shown(unloading), ["other-7B"]), false);
  assert.equal(concerns(loading, shown(unloading), []), false);
});

test("what the banner says concerns every page", () => {
  for (const changed of [
    backend({ last: change({ state: "succeeded" }) }),
    backend({ state: "switching", switch: change({ state: "rolling_back" }) }),
    backend({ state: "switching", switch: change({ cancel_requested: true }) }),
    { ...loading, worker: false },
    { ...loading, busy_with: "big-70B" },
    {
      ...loading,
      findings: [{ id: "key", level: /** @type {const} */ ("error"), title: "", detail: "", hint: "" }],
    },
  ]) {
    assert.equal(concerns(changed, shown(loading), []), true);
  }
});

test("what changes on one of several servers concerns every page, what it writes does not", () => {
  const two = backend({ servers: [server(), server({ name: "gpu2" })] });
  /** @param {Partial<import("../../models_admin/static/shared/types.d.ts").ServerState>} fields */
  const after = (fields) => ({ ...two, servers: [server(), server({ name: "gpu2", ...fields })] });
  assert.equal(concerns(after({ replying: 3 }), shown(two), []), false);
  for (const fields of [
    { state: /** @type {const} */ ("unreachable") },
    { model: "qwen-7B" },
    { out_of_service_since: "2026-11-26T10:00:00+00:00" },
    { switch: change() },
    { switch: change({ state: "rolling_back" }) },
    { error: "It does not fit." },
  ]) {
    assert.equal(concerns(after(fields), shown(two), []), true);
  }
  const rolling = { ...two, rollout: rollout() };
  assert.equal(concerns(rolling, shown(two), []), true);
  assert.equal(concerns({ ...two, rollout: rollout({ percent: 50 }) }, shown(rolling), []), false);
  assert.equal(concerns({ ...two, rollout: rollout({ cancel_requested: true }) }, shown(rolling), []), true);
});

/** A Refresher whose clock and server the test plays. */
function played() {
  /** @type {(() => void)[]} */
  const due = [];
  /** @type {number[]} */
  const waits = [];
  /** @type {(() => void)[]} */
  const answers = [];
  const server = { old: true, asked: 0 };
  const load = () => {
    server.asked += 1;
    return /** @type {Promise<void>} */ (new Promise((answer) => answers.push(() => answer())));
  };
  const refresher = new Refresher(
    () => server.old,
    load,
    (work, milliseconds) => {
      waits.push(milliseconds);
      return due.push(work);
    },
  );
  const settle = async () => {
    answers.shift()?.();
    await new Promise((done) => setImmediate(done));
  };
  return { refresher, server, due, waits, settle };
}

test("a page asks once for all that changes before its moment", async () => {
  const { refresher, server, due, waits } = played();
  refresher.soon();
  refresher.soon();
  assert.equal(server.asked, 0);
  assert.equal(due.length, 1);
  assert.ok(waits[0] >= 0 && waits[0] <= 2000);
  due.shift()?.();
  assert.equal(server.asked, 1);
});

test("it does not ask where nothing has changed, or nothing any more", () => {
  const { refresher, server, due } = played();
  server.old = false;
  refresher.soon();
  assert.equal(due.length, 0);
  server.old = true;
  refresher.soon();
  server.old = false;
  due.shift()?.();
  assert.equal(server.asked, 0);
});

test("what changes during an answer is asked for afterwards; a failure alone is not", async () => {
  const { refresher, server, due, settle } = played();
  refresher.now();
  await settle();
  assert.equal(due.length, 0, "the answer failed: the next event leads here again");
  refresher.now();
  refresher.soon();
  await settle();
  assert.equal(due.length, 1);
  server.old = false;
});

test("a reader who waits is not made to", async () => {
  const { refresher, server, settle } = played();
  refresher.now();
  refresher.now();
  await settle();
  await settle();
  assert.equal(server.asked, 2);
});

test("pages wait for different moments", () => {
  const { refresher, due, waits } = played();
  for (let page = 0; page < 20; page += 1) {
    refresher.soon();
    refresher.timer = null;
  }
  assert.equal(due.length, 20);
  assert.ok(new Set(waits).size > 1);
});
