// @ts-check
// What the server sends, for the tests of the page's scripts.

/** @import { Backend, Message, Rollout, ServerState, Switch } from "../../models_admin/static/shared/types.d.ts" */

/**
 * @param {Partial<Backend>} fields
 * @returns {Backend}
 */
export const backend = (fields = {}) => ({
  type: "backend",
  state: "ready",
  model: "llama-8B",
  about: null,
  loaded_at: null,
  context: 8192,
  parameters: {},
  options: {},
  differences: [],
  unreachable_since: null,
  trouble: "",
  advice: "",
  findings: [],
  healthy: true,
  worker: true,
  replying: 0,
  busy_with: "",
  epoch: 1,
  switch: null,
  last: null,
  ...fields,
});

/**
 * @param {Partial<Switch>} fields
 * @returns {Switch}
 */
export const change = (fields = {}) => ({
  id: 7,
  skip_checks: false,
  kind: "switch",
  state: "loading",
  target: "qwen-7B",
  previous: "llama-8B",
  step: 2,
  steps: 2,
  percent: 57,
  detail: "",
  eta_seconds: 12,
  elapsed_seconds: 3,
  by: "",
  source: "api",
  rule: "",
  error: "",
  error_kind: "",
  advice: "",
  result: null,
  standing: "",
  cancel_requested: false,
  force: false,
  file_notes: [],
  replies_cut: 0,
  seconds: {},
  options: {},
  parameters: {},
  differences: [],
  created_at: "2026-11-23T07:00:00+00:00",
  finished_at: null,
  lines: [],
  ...fields,
});

/**
 * @param {number} id
 * @param {Partial<Message>} fields
 * @returns {Message}
 */
export const message = (id, fields = {}) => ({
  id,
  revision: 1,
  client_id: null,
  parent: id > 1 ? id - 1 : null,
  role: id % 2 ? "user" : "assistant",
  status: "complete",
  text: "",
  html: "",
  upto: 0,
  reasoning: "",
  reasoning_seconds: null,
  model: "llama-8B",
  handovers: [],
  queue_position: null,
  usage: null,
  finish_reason: "",
  continuable: false,
  left_out: 0,
  error: "",
  error_kind: "",
  created_at: "2026-11-23T07:00:00+00:00",
  versions: { index: 1, count: 1, ids: [id] },
  feedback: null,
  compared_with: null,
  better: null,
  ...fields,
});

/**
 * @param {Partial<ServerState>} fields
 * @returns {ServerState}
 */
export const server = (fields = {}) => ({
  id: 1,
  name: "gpu1",
  state: "ready",
  model: "llama-8B",
  loaded_at: null,
  context: 8192,
  replying: 0,
  epoch: 1,
  healthy: true,
  unreachable_since: null,
  trouble: "",
  out_of_service_since: null,
  switch: null,
  error: "",
  ...fields,
});

/**
 * @param {Partial<Rollout>} fields
 * @returns {Rollout}
 */
export const rollout = (fields = {}) => ({
  id: 3,
  state: "running",
  target: "qwen-7B",
  percent: 45,
  servers: [],
  by: "",
  source: "api",
  rule: "",
  error: "",
  cancel_requested: false,
  created_at: "2026-11-26T10:00:00+00:00",
  finished_at: null,
  lines: [],
  ...fields,
});
