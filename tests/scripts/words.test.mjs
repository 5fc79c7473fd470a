// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import { described, ended } from "../../chat/static/chat/backend.js";
import { count, dayGroup, place, plural, seconds, shortDate } from "../../chat/static/chat/format.js";
import { composes } from "../../chat/static/chat/keys.js";
import {
  aliasNote,
  facts,
  leftOut,
  statusOf,
  thoughtsTitle,
  waiting,
} from "../../chat/static/chat/wording.js";
import { backend, change, message, rollout, server } from "./wire.mjs";

test("figures read as people say them", () => {
  assert.deepEqual([7.57, 59.4, 59.5, 64].map(seconds), ["7.6 s", "59 s", "1 min 0 s", "1 min 4 s"]);
  assert.deepEqual([1, 2, 3, 11, 22].map(place), [
    "Next in line",
    "2nd in line",
    "3rd in line",
    "11th in line",
    "22nd in line",
  ]);
  assert.equal(count(1312), "1,312");
  assert.deepEqual([plural(1, "model"), plural(2, "model")], ["1 model", "2 models"]);
});

test("conversations are grouped by the day", () => {
  const now = new Date(2026, 10, 26, 12);
  /** @param {[number, number, number]} day */
  const group = (...day) => dayGroup(new Date(...day, 9).toISOString(), now);
  assert.equal(group(2026, 10, 26), "Today");
  assert.equal(group(2026, 10, 25), "Yesterday");
  assert.equal(group(2026, 10, 20), "Previous 7 days");
  assert.equal(group(2026, 10, 1), "Previous 30 days");
  assert.equal(group(2026, 2, 1), "March");
  assert.equal(group(2024, 2, 1), "March 2024");
  assert.match(shortDate(new Date(2026, 10, 26, 9, 5).toISOString(), now), /9:05/);
  assert.match(shortDate(new Date(2024, 10, 26, 9, 5).toISOString(), now), /2024/);
});

test("the keys of a composition are its own, Safari's last Enter too", () => {
  assert.equal(composes({ isComposing: true, keyCode: 13 }), true);
  assert.equal(composes({ isComposing: false, keyCode: 229 }), true);
  assert.equal(composes({ isComposing: false, keyCode: 13 }), false);
});

test("the backend's state is said in words, with a figure for the bar", () => {
  assert.equal(described(null).name, "Connecting…");
  assert.deepEqual(described(backend()), {
    state: "ready",
    name: "llama-8B",
    detail: "8k context",
    progress: null,
    hold: "",
  });
  const named = { id: "llama-8B", name: "The quick one", tags: [], notes: "", size: "", visible: true };
  assert.equal(described(backend({ about: named })).name, "The quick one");
  assert.equal(described(backend({ healthy: false })).state, "failing");
  assert.match(
    described(backend({ state: "unloaded", model: "", busy_with: "big-70B" })).hold,
    /busy with big-70B/,
  );
  const loading = described(backend({ state: "switching", switch: change({ percent: 50 }) }));
  assert.equal(loading.name, "Model loading… 50%");
  assert.equal(loading.hold, "Model loading… 50%, about 12 s");
  assert.ok(Math.abs((loading.progress ?? 0) - 0.56) < 1e-9);
  const back = described(backend({ state: "switching", switch: change({ state: "rolling_back" }) }));
  assert.match(back.detail, /^Going back to llama-8B/);
});

test("people are told once how a switch ended, if they saw it run", () => {
  const before = backend({ state: "switching", switch: change() });
  const last = change({ state: "succeeded" });
  const after = backend({ model: "qwen-7B", last });
  assert.equal(ended(before, after), "qwen-7B is ready.");
  assert.equal(ended(after, after), "");
  assert.equal(ended(null, after), "");
  assert.equal(ended(backend(), after), "", "the switch was never shown");
  const failed = backend({ last: change({ state: "failed", error: "It does not fit." }) });
  assert.equal(ended(before, failed), "Switching to qwen-7B failed: It does not fit. llama-8B answers.");
  const cancelled = backend({ model: "", last: change({ state: "cancelled" }) });
  assert.equal(ended(before, cancelled), "The switch to qwen-7B was cancelled.");
  assert.equal(
    ended(before, backend({ last: change({ state: "succeeded", target: "" }) })),
    "The model was unloaded.",
  );
});

test("a queued reply says why it waits", () => {
  const queued = message(2, { status: "queued", queue_position: 3 });
  assert.equal(waiting(queued, "Model loading…"), "Model loading… · 3rd in line");
  assert.equal(waiting({ ...queued, queue_position: 1 }, ""), "Waiting for its turn");
  assert.equal(waiting(message(2), "Model loading…"), "");
  assert.notEqual(statusOf(queued, ""), statusOf(queued, "Model loading…"));
  assert.equal(statusOf(message(2), ""), statusOf(message(2), "Model loading…"));
});

test("what a reply took stands beside it", () => {
  const usage = {
    prompt_tokens: 9,
    completion_tokens: 1312,
    total_tokens: 1321,
    tokens_per_second: 41.23,
    seconds: 7.57,
  };
  assert.deepEqual(facts(message(2, { usage, status: "stopped" })), [
    "llama-8B",
    "stopped",
    "1,312 tokens",
    "41.2 tokens/s",
    "7.6 s",
  ]);
  assert.deepEqual(facts(message(2, { model: "", finish_reason: "length" })), [
    "cut at the longest reply allowed",
  ]);
  assert.match(leftOut(1), /^The 1 oldest message did not fit .* was left out\.$/);
  assert.match(leftOut(2), /^The 2 oldest messages did not fit .* were left out\.$/);
  assert.equal(leftOut(0), "");
  assert.equal(thoughtsTitle({ text: "", reasoning_seconds: null }, true), "Thinking…");
  assert.equal(thoughtsTitle({ text: "x", reasoning_seconds: 3 }, true), "Thought for 3.0 s");
});

test("a chosen alias is only spoken of where something else answers", () => {
  const known = [
    { name: "coder", model: "beta", retired: "" },
    { name: "team", model: "", retired: "" },
    { name: "old", model: "beta", retired: "The alias “old” was retired on 3 May 2026. Use “team” instead." },
  ];
  const alpha = backend({ model: "alpha" });
  assert.equal(aliasNote("", known, alpha), "");
  assert.equal(aliasNote("team", known, alpha), "");
  assert.equal(aliasNote("coder", known, null), "");
  assert.equal(aliasNote("coder", known, backend({ model: "beta" })), "");
  const bringing = backend({ model: "alpha", state: "switching", switch: change({ target: "beta" }) });
  assert.equal(aliasNote("coder", known, bringing), "");
  assert.equal(
    aliasNote("coder", known, alpha),
    "“coder” stands for beta, which is not loaded. alpha answers.",
  );
  assert.equal(
    aliasNote("old", known, alpha),
    "The alias “old” was retired on 3 May 2026. Use “team” instead. alpha answers.",
  );
  assert.equal(aliasNote("gone", known, alpha), "You may not use the alias “gone” any more. alpha answers.");
  assert.match(
    aliasNote("coder", known, backend({ state: "unloaded", model: "" })),
    /Whatever is loaded answers/,
  );
});

test("while servers are changed one after the other, the model that answers is named, and how far they are", () => {
  const rolling = backend({ rollout: rollout(), switch: change() });
  assert.deepEqual(described(rolling), {
    state: "ready",
    name: "llama-8B",
    detail: "45% · switching to qwen-7B",
    progress: 0.45,
    hold: "",
  });
  assert.equal(described({ ...rolling, rollout: rollout({ target: "" }) }).detail, "45% · unloading");
  assert.equal(described({ ...rolling, state: "switching" }).state, "switching", "where none answers");
});

test("the end of a rollout is told once, not that of each of its switches", () => {
  const [first, second] = [6, 7].map((id) => change({ id, state: "succeeded", finished_at: "now" }));
  const begun = backend({ rollout: rollout(), switch: change({ id: 6 }), last: null });
  const half = backend({ rollout: rollout(), switch: change({ id: 7 }), last: first });
  const done = backend({ rollout: rollout(), last: second, model: "qwen-7B" });
  const over = backend({ rollout: null, last: second, model: "qwen-7B" });
  assert.equal(ended(begun, half), "");
  assert.equal(ended(half, done), "");
  assert.equal(ended(done, over), "qwen-7B is ready.");
  assert.equal(ended(half, over), "qwen-7B is ready.", "also where the moment between was not seen");
  assert.equal(ended(over, over), "");
});

test("an alias is answered by what it stands for where one of several servers runs that", () => {
  const known = [{ name: "coder", model: "qwen-7B", retired: "" }];
  const other = server({ name: "gpu2", model: "qwen-7B" });
  assert.equal(aliasNote("coder", known, backend({ servers: [server(), other] })), "");
  const out = { ...other, out_of_service_since: "2026-11-26T10:00:00+00:00" };
  assert.match(aliasNote("coder", known, backend({ servers: [server(), out] })), /which is not loaded/);
});
