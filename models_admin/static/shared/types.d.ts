// The events and frames of the sockets and the answers of the API that the pages' scripts read, as the server sends them:
// models_admin/presentation and model_requests, chat/wire.py, relay.py, consumers.py and api.py.

export interface Line {
  text: string;
  state: "waiting" | "running" | "done" | "failed" | "note";
}

export interface Difference {
  option: string;
  kind: "differs" | "ignored" | "missing" | "unconfirmed";
  asked: unknown;
  found: unknown;
  text: string;
}

export interface Finding {
  id: string;
  level: "ok" | "warning" | "error";
  title: string;
  detail: string;
  hint: string;
}

export type Step = "queued" | "draining" | "unloading" | "loading" | "verifying" | "rolling_back";

export interface Switch {
  id: number;
  kind: "switch" | "unload";
  state: Step | "succeeded" | "failed" | "cancelled";
  target: string;
  previous: string;
  step: number;
  steps: number;
  percent: number;
  detail: string;
  eta_seconds: number | null;
  elapsed_seconds: number;
  by: string;
  source: string;
  rule: string;
  error: string;
  error_kind: string;
  advice: string;
  result: string | null;
  standing: string;
  cancel_requested: boolean;
  replies_cut: number;
  seconds: Record<string, number>;
  options: Record<string, unknown>;
  parameters: Record<string, unknown>;
  differences: Difference[];
  created_at: string;
  finished_at: string | null;
  lines: Line[];
}

/** A model in the administrators' words. */
export interface About {
  id: string;
  name: string;
  tags: string[];
  notes: string;
  size: string;
  visible?: boolean;
}

export interface Backend {
  state: "ready" | "switching" | "unloaded" | "unreachable";
  model: string;
  about: About | null;
  loaded_at: string | null;
  context: number | null;
  parameters: Record<string, unknown>;
  options: Record<string, unknown>;
  differences: Difference[];
  unreachable_since: string | null;
  trouble: string;
  advice: string;
  findings: Finding[];
  healthy: boolean;
  worker: boolean;
  replying: number;
  busy_with: string;
  epoch: number;
  switch: Switch | null;
  last: Switch | null;
}

export interface Usage {
  prompt_tokens: number | null;
  completion_tokens: number | null;
  total_tokens: number | null;
  tokens_per_second: number | null;
  seconds: number | null;
}

export interface Versions {
  index: number;
  count: number;
  ids: number[];
}

export interface Message {
  id: number;
  revision: number;
  client_id: string | null;
  parent: number | null;
  role: "user" | "assistant";
  status: "queued" | "streaming" | "complete" | "stopped" | "failed";
  text: string;
  html: string;
  /** Characters of the text that the HTML covers. */
  upto: number;
  reasoning: string;
  reasoning_seconds: number | null;
  model: string;
  handovers: { model: string; upto: number }[];
  queue_position: number | null;
  usage: Usage | null;
  finish_reason: string;
  continuable: boolean;
  left_out: number;
  error: string;
  error_kind: string;
  created_at: string;
  versions: Versions;
}

export interface Settings {
  system_prompt: string;
  temperature: number | null;
  max_tokens: number | null;
}

export interface Conversation extends Partial<Settings> {
  id: string;
  title: string;
}

/** A user's request for a model. */
export interface ModelRequest {
  id: number;
  model: string;
  name: string;
  state: "open" | "granted" | "declined" | "expired" | "withdrawn" | "gone";
  reason: string;
  answer: string;
  asked_at: string;
  ended_at: string | null;
}

// What the server sends ----------------------------------------------------------------------------------------

export interface HelloEvent {
  type: "hello";
  account: number;
  backend: Backend;
  conversation?: Conversation;
  messages?: Message[];
  earlier?: boolean;
}

export interface BackendEvent extends Backend {
  type: "backend";
}

export interface DeltaEvent {
  type: "delta";
  id: number;
  offset: number;
  text?: string;
  reasoning?: string;
}

export interface BlockEvent {
  type: "block";
  id: number;
  upto: number;
  html: string;
}

export interface ErrorEvent {
  type: "error";
  code: string;
  detail: string;
  client_id?: string;
}

export type SocketEvent =
  | HelloEvent
  | BackendEvent
  | DeltaEvent
  | BlockEvent
  | ErrorEvent
  | { type: "message"; message: Message }
  | { type: "conversation"; conversation: Conversation }
  | { type: "requests"; requests: ModelRequest[] }
  | { type: "catalog" }
  | { type: "asked" }
  | { type: "pong" };

// What the page sends ------------------------------------------------------------------------------------------

/** A frame that is kept until it is acknowledged; `refused`: why the server did not take it. */
export type KeptFrame = (
  | { type: "send"; client_id: string; text: string }
  | { type: "edit"; client_id: string; text: string; id: number }
) & { refused?: string };

export type Frame =
  | KeptFrame
  | { type: "regenerate" | "continue" | "select" | "stop" | "resync"; id: number }
  | { type: "ping" };

/** How a socket stands. */
export type SocketState =
  | { is: "open" }
  | { is: "doubtful"; heard: Date }
  | { is: "lost"; retryIn: number; tries: number; flooded: boolean }
  | { is: "refused"; reason: string }
  | { is: "signed-out" | "gone" };

// Answers of the API, and what the page is given at first --------------------------------------------------------

/** A row of the list of conversations. */
export interface Listed {
  id: string;
  title: string;
  pinned: boolean;
  updated_at: string;
}

export interface List {
  conversations: Listed[];
  next: string | null;
}

export interface Found extends Listed {
  snippet: { before: string; match: string; after: string } | null;
}

export interface Earlier {
  messages: Message[];
  earlier: boolean;
}

/** A model that can be asked for. */
export interface Offered {
  id: string;
  name: string;
  tags: string[];
  notes: string;
  size: string;
  switch_url: string | null;
}

export interface Boot {
  user: { id: number; name: string; initials: string };
  conversation: Conversation | null;
  list: List;
  may_switch: boolean;
  max_chars: number;
}
