// What pages are sent and what they send: made by `make types` from models_admin/page_schema.py and chat/page_schema.py.
// Whatever is to be changed is changed there.


export interface Line {
  text: string;
  state: "waiting" | "running" | "done" | "failed" | "note";
}

/** How what TabbyAPI shows of a loaded model differs from an option that it was loaded with. */
export interface Difference {
  option: string;
  /** unconfirmed: TabbyAPI does not show it; ignored: it has no effect. */
  kind: "differs" | "ignored" | "missing" | "unconfirmed";
  asked: unknown;
  found: unknown;
  text: string;
}

/** What an examination of TabbyAPI or of this machine found. */
export interface Finding {
  id: string;
  level: "ok" | "warning" | "error";
  title: string;
  detail: string;
  hint: string;
}

/** What came of a check; `why` it failed or was not judged, empty where it passed. */
export interface CheckOutcome {
  name: string;
  verdict: "passed" | "failed" | "unjudged";
  why: string;
}

/** One attempt to change what is loaded, as it is now. `lines` says the same in words for people. */
export interface Switch {
  id: number;
  kind: "switch" | "unload";
  state: "queued" | "draining" | "unloading" | "loading" | "verifying" | "rolling_back" | "succeeded" | "failed" | "cancelled";
  /** The model to load; empty for an unload. */
  target: string;
  /** What was loaded before; empty if nothing was. */
  previous: string;
  step: number;
  steps: number;
  /** Of the step at hand. */
  percent: number;
  detail: string;
  eta_seconds: number | null;
  elapsed_seconds: number;
  /** The user who asked for it; empty where it was none. */
  by: string;
  source: "admin" | "api" | "command" | "rollback" | "outside" | "late" | "keep" | "rule";
  /** The automation rule that asked for it; empty where it was none. */
  rule: string;
  error: string;
  error_kind: string;
  advice: string;
  /** What was loaded when it ended (empty: nothing); null while it runs, and where TabbyAPI did not say it. */
  result: string | null;
  /** What was loaded when it ended, in a sentence; empty while it runs. */
  standing: string;
  cancel_requested: boolean;
  /** It was asked for whatever its files look like. */
  force: boolean;
  /** It was to serve without the checks before serving. */
  skip_checks: boolean;
  /** What was found in the target's files before anything was unloaded. */
  file_notes: string[];
  replies_cut: number;
  /** Spent in each state. */
  seconds: Record<string, number>;
  /** The load options asked for. */
  options: Record<string, unknown>;
  /** What TabbyAPI's card showed of the loaded model when it ended. */
  parameters: Record<string, unknown>;
  /** Between the two. */
  differences: Difference[];
  created_at: string;
  finished_at: string | null;
  lines: Line[];
  tried?: CheckOutcome[];
  server?: string;
  rollout?: number | null;
}

/** One server's part in a rollout; `switch`: the id of its switch, null until it begins. */
export interface RolloutServer {
  name: string;
  state: "queued" | "draining" | "unloading" | "loading" | "verifying" | "rolling_back" | "succeeded" | "failed" | "cancelled" | "waiting";
  percent: number;
  switch: number | null;
  text: string;
}

/** One change of several servers, one after the other. `lines` says the same in words for people. */
export interface Rollout {
  id: number;
  state: "running" | "succeeded" | "failed" | "cancelled";
  /** The model to load; empty for an unload. */
  target: string;
  /** Of the whole. */
  percent: number;
  servers: RolloutServer[];
  /** The user who asked for it; empty where it was none. */
  by: string;
  source: "admin" | "api" | "command" | "rollback" | "outside" | "late" | "keep" | "rule";
  rule: string;
  error: string;
  cancel_requested: boolean;
  created_at: string;
  finished_at: string | null;
  lines: Line[];
}

export type Change = Switch | Rollout;

/** A model in the administrators' words, and its size, such as “7B · Q5” (empty: not known). */
export interface ModelWords {
  id: string;
  name: string;
  tags: string[];
  notes: string;
  size: string;
}

/** The loaded model; `visible`: whether it is shown in chat. */
export interface About extends ModelWords {
  visible: boolean;
}

/** A model that may be asked for. `switch_url`: where the user may switch to it, if they may in the admin site. */
export interface Offered extends ModelWords {
  switch_url: string | null;
}

/** One of several servers, as it is now. */
export interface ServerState {
  id: number;
  /** As in TABBY_HOST. */
  name: string;
  state: "ready" | "switching" | "unloaded" | "unreachable";
  model: string;
  loaded_at: string | null;
  /** Tokens. */
  context: number | null;
  replying: number;
  epoch: number;
  healthy: boolean;
  unreachable_since: string | null;
  trouble: string;
  out_of_service_since: string | null;
  switch: Switch | null;
  /** What is wrong there now, or why its last switch failed within the last hour; empty: nothing. */
  error: string;
}

/** All that a page shows of TabbyAPI and of the switch under way. It is an event, and a part of each `hello`. */
export interface Backend {
  type: "backend";
  state: "ready" | "switching" | "unloaded" | "unreachable";
  /** The loaded one; empty: none. */
  model: string;
  about: About | null;
  loaded_at: string | null;
  /** Tokens. */
  context: number | null;
  /** Of TabbyAPI's card. */
  parameters: Record<string, unknown>;
  /** The load options asked for. */
  options: Record<string, unknown>;
  /** Between the two. */
  differences: Difference[];
  unreachable_since: string | null;
  trouble: string;
  advice: string;
  findings: Finding[];
  /** Its engine has not failed. */
  healthy: boolean;
  /** One is alive. */
  worker: boolean;
  /** Replies in flight. */
  replying: number;
  /** The model of a load that was given up and goes on in TabbyAPI; empty: none. */
  busy_with: string;
  epoch: number;
  /** The one under way. */
  switch: Switch | null;
  /** The last one that ended within the last hour. */
  last: Switch | null;
  servers?: ServerState[];
  rollout?: Rollout | null;
}

/** One of the user's requests: open, or ended in a way that they have not put away yet. */
export interface ModelRequest {
  id: number;
  model: string;
  /** Of the model, to read. */
  name: string;
  state: "open" | "granted" | "declined" | "withdrawn" | "expired" | "gone";
  reason: string;
  answer: string;
  asked_at: string;
  ended_at: string | null;
}

/** What may be asked for, and what the user has asked for. */
export interface Overview {
  models: Offered[];
  requests: ModelRequest[];
}

/** The open request; or none, because the model is loaded. `detail` says which, in a sentence. */
export interface Answered {
  request: ModelRequest | null;
  detail: string;
}

/** The first event on /ws/models/. */
export interface Hello {
  type: "hello";
  account: number;
  backend: Backend;
}

/** All of the user's requests. */
export interface RequestsEvent {
  type: "requests";
  requests: ModelRequest[];
}

/** Models or aliases have come or gone, or what is noted about them has changed. */
export interface CatalogEvent {
  type: "catalog";
}

/** To staff: somebody has asked for a model, or a request has ended. */
export interface AskedEvent {
  type: "asked";
}

/** Why a frame was not obeyed. */
export interface ErrorEvent {
  type: "error";
  code: string;
  detail: string;
}

/** The answer to a `ping`. */
export interface PongEvent {
  type: "pong";
}

/** A page asks for a sign of life. */
export interface Ping {
  type: "ping";
}

export type ModelsEvent = Hello | Backend | RequestsEvent | CatalogEvent | AskedEvent | ErrorEvent | PongEvent;

/** What a reply took; null where TabbyAPI did not say. */
export interface Usage {
  prompt_tokens: number | null;
  completion_tokens: number | null;
  total_tokens: number | null;
  tokens_per_second: number | null;
  seconds: number | null;
}

/** A model that began a reply which another one went on with, and how many characters it wrote. */
export interface Handover {
  model: string;
  upto: number;
}

/** Which of the messages with the same parent this is (from 1), and all of them, oldest first. */
export interface Versions {
  index: number;
  count: number;
  ids: number[];
}

/** What the reader says of a reply. `attached`: the administrators are shown the question and the reply, too. */
export interface Feedback {
  thumb: "up" | "down";
  words: string;
  attached: boolean;
}

/** A whole message. */
export interface Message {
  id: number;
  /** Grows with each change of status: a lower one that comes late is old. */
  revision: number;
  /** The page's own name for a message that it sent. */
  client_id: string | null;
  parent: number | null;
  role: "user" | "assistant";
  status: "awaiting" | "queued" | "streaming" | "complete" | "stopped" | "failed";
  text: string;
  html: string;
  /** Characters of the text that the HTML covers. */
  upto: number;
  reasoning: string;
  reasoning_seconds: number | null;
  model: string;
  handovers: Handover[];
  /** 1: next. */
  queue_position: number | null;
  usage: Usage | null;
  finish_reason: string;
  continuable: boolean;
  /** Oldest messages that the model was not given. */
  left_out: number;
  error: string;
  error_kind: string;
  created_at: string;
  versions: Versions;
  feedback: Feedback | null;
  /** Of a comparison: the reply beside which it stands. */
  compared_with: number | null;
  /** Of a comparison: what its reader says of the two. */
  better: "first" | "second" | "same" | null;
}

/** What a conversation's replies are asked with. */
export interface Settings {
  /** Its defaults hold below these settings; empty: none. */
  alias: string;
  system_prompt: string;
  temperature: number | null;
  max_tokens: number | null;
}

/** An alias of a model (empty: of whatever is loaded). `retired` says that it is, in a sentence; empty: it is not. */
export interface AliasChoice {
  name: string;
  model: string;
  retired: string;
}

/** The aliases that the user may use, and those of them that were retired. */
export interface AliasChoices {
  aliases: AliasChoice[];
}

export interface Conversation extends Settings {
  id: string;
  title: string;
}

/** A row of the list of conversations. */
export interface Listed {
  id: string;
  title: string;
  pinned: boolean;
  updated_at: string;
}

/** A row of the list, and the conversation's settings. */
export interface Details extends Listed, Settings {
}

/** A page of the list. `next` is the `before` of the page that follows; null on the last one. */
export interface ConversationList {
  conversations: Listed[];
  next: string | null;
}

export interface Created {
  id: string;
  title: string;
}

export interface Snippet {
  before: string;
  match: string;
  after: string;
}

export interface Found extends Listed {
  snippet: Snippet | null;
}

export interface Results {
  results: Found[];
}

/** Messages that led to another one, oldest first, then comparisons with them; `earlier`: there are more before them. */
export interface Earlier {
  messages: Message[];
  earlier: boolean;
}

/** A conversation, and the last messages of the branch that is shown. Comparisons with them follow them. */
export interface Branch extends Earlier {
  conversation: Conversation;
}

/** Who is signed in. */
export interface Person {
  id: number;
  name: string;
  initials: string;
}

/** What a chat page is given with its HTML. */
export interface Boot {
  user: Person;
  conversation: Listed | null;
  list: ConversationList;
  aliases: AliasChoice[];
  may_switch: boolean;
  max_chars: number;
}

/** The first event of a conversation, and again when another branch is shown; then it goes to all pages alike. */
export interface ChatHello extends Branch {
  type: "hello";
  backend: Backend;
  account?: number;
}

export interface MessageEvent {
  type: "message";
  message: Message;
}

export interface ConversationEvent {
  type: "conversation";
  conversation: Conversation;
}

/** What the reader says of the reply `id` from now on. */
export interface FeedbackEvent {
  type: "feedback";
  id: number;
  feedback: Feedback | null;
}

/** Text that goes on at `offset`, in characters. */
export interface TextDelta {
  type: "delta";
  id: number;
  offset: number;
  text: string;
}

/** Reasoning that goes on at `offset`, in characters. */
export interface ReasoningDelta {
  type: "delta";
  id: number;
  offset: number;
  reasoning: string;
}

/** HTML that follows on what the page has; with it the HTML covers `upto` characters of the text. */
export interface BlockEvent {
  type: "block";
  id: number;
  upto: number;
  html: string;
}

/** Why a frame was not obeyed; `client_id`: the one that it had. */
export interface ChatErrorEvent extends ErrorEvent {
  client_id?: string;
}

export type ChatEvent = ChatHello | MessageEvent | ConversationEvent | TextDelta | ReasoningDelta | BlockEvent | FeedbackEvent | ChatErrorEvent | Backend | RequestsEvent | CatalogEvent | AskedEvent | PongEvent;

/** A message, to be answered; behind `parent`, or at the end of the shown branch. */
export interface Send {
  type: "send";
  client_id: string;
  text: string;
  parent?: number | null;
}

/** Another version of the person's message `id`. */
export interface Edit {
  type: "edit";
  client_id: string;
  text: string;
  id: number;
}

/** What is to be done with the message `id`. `compare`: another model is to answer the same. `keep`: what it answered becomes a version. */
export interface OfMessage {
  type: "regenerate" | "continue" | "select" | "stop" | "resync" | "compare" | "keep";
  id: number;
}

/** Which is better, the comparison `id` or the reply beside which it stands; null: nothing is said of it any more. */
export interface Judge {
  type: "judge";
  id: number;
  better: "first" | "second" | "same" | null;
}

export type ChatFrame = Send | Edit | OfMessage | Judge | Ping;
