// @ts-check
// What the page knows, and how each event of the socket changes it. No DOM here.

import { advance, points } from "./points.js";

/**
 * @import {
 *   Backend, BlockEvent, ChatErrorEvent, ChatHello, Conversation, DeltaEvent, Earlier, FeedbackEvent, Hello, Message,
 *   Settings, SocketEvent
 * } from "../shared/types.d.ts"
 */

/**
 * A message with what is counted here: lengths in code points, where the HTML ends in units, blocks to show.
 * @typedef {Message & {length: number, reasoningLength: number, uptoUnits: number, blocks: string[]}} Held
 */

/**
 * A conversation as far as it is known: its settings come with the hello.
 * @typedef {Pick<Conversation, "id" | "title"> & Partial<Settings>} Begun
 */

/**
 * What the page knows. `order` has the shown branch, `comparisons` by reply what is beside it; `earlier`: there are
 * messages before the first; `greeted`: the messages have come.
 * @typedef {object} State
 * @property {Backend | null} backend
 * @property {Begun | null} conversation
 * @property {Map<number, Held>} messages
 * @property {number[]} order
 * @property {Map<number, number>} comparisons
 * @property {boolean} earlier
 * @property {boolean} greeted
 */

/**
 * What the view has to show. "message": the whole of it; "grown": text, reasoning or blocks were added; "resync":
 * something is missing, ask for a snapshot.
 * @typedef {{what: "all" | "backend" | "conversation"}
 *   | {what: "message" | "grown" | "resync" | "feedback", id: number}
 *   | {what: "acknowledged", client_id: string}
 *   | {what: "error", error: ChatErrorEvent}} Change
 */

/**
 * Whether it is being written, or stands in line for that.
 * @param {Pick<Message, "status">} message
 */
export const isOpen = ({ status }) => status === "queued" || status === "streaming";

/** @param {Pick<Message, "status">} message */
export const hasEnded = ({ status }) => !isOpen({ status }) && status !== "awaiting";

/**
 * The reply beside which a comparison stands; 0: the message is no comparison.
 * @param {Pick<Message, "compared_with">} message
 */
export const hostOf = ({ compared_with: reply }) => reply ?? 0;

/** @returns {State} */
export function initial() {
  return {
    backend: null,
    conversation: null,
    messages: new Map(),
    order: [],
    comparisons: new Map(),
    earlier: false,
    greeted: false,
  };
}

/**
 * @param {State} state is changed
 * @param {SocketEvent} event
 * @returns {Change[]}
 */
export function apply(state, event) {
  switch (event.type) {
    case "hello":
      return hello(state, event);
    case "backend": {
      state.backend = event;
      return [{ what: "backend" }];
    }
    case "conversation":
      state.conversation = event.conversation;
      return [{ what: "conversation" }];
    case "message":
      return message(state, event.message);
    case "delta":
      return delta(state, event);
    case "block":
      return block(state, event);
    case "feedback":
      return feedback(state, event);
    case "error":
      return [{ what: "error", error: event }];
    default:
      return [];
  }
}

/**
 * The messages that are shown, oldest first.
 * @param {State} state
 */
export const shown = ({ order, messages }) =>
  order.map((id) => messages.get(id)).filter((each) => each !== undefined);

/**
 * The comparison that stands beside a shown reply, or undefined.
 * @param {State} state
 * @param {number} id
 */
export function comparisonWith({ comparisons, messages }, id) {
  return messages.get(comparisons.get(id) ?? 0);
}

/**
 * The last of the shown messages that `test` accepts, or undefined.
 * @param {State} state
 * @param {(message: Held) => boolean} test
 */
export function last(state, test) {
  for (let at = state.order.length - 1; at >= 0; at -= 1) {
    const found = state.messages.get(state.order[at]);
    if (found && test(found)) return found;
  }
  return undefined;
}

/**
 * @param {State} state
 * @param {Hello | ChatHello} event
 */
function hello(state, event) {
  /** @type {Change[]} */
  const changes = [{ what: "all" }];
  state.backend = event.backend;
  if ("messages" in event) {
    state.conversation = event.conversation;
    const rows = event.messages.map((each) => freshest(state.messages.get(each.id), each));
    const older = olderThan(state, rows.at(0));
    const beside = older.map(({ id }) => comparisonWith(state, id)).filter((each) => each !== undefined);
    take(state, [...older, ...beside, ...rows]);
    state.earlier = event.earlier && (older.length ? state.earlier : true);
    state.greeted = true;
    changes.push(...event.messages.flatMap(acknowledged));
  }
  return changes;
}

/**
 * Have these messages, and no others.
 * @param {State} state
 * @param {Held[]} rows
 */
function take(state, rows) {
  state.messages = new Map(rows.map((each) => [each.id, each]));
  state.order = rows.filter((each) => !hostOf(each)).map((each) => each.id);
  state.comparisons = new Map();
  for (const each of rows) if (hostOf(each)) state.comparisons.set(hostOf(each), each.id);
}

/**
 * Older messages that were fetched before, and still lead to `first`.
 * @param {State} state
 * @param {Held | undefined} first
 */
function olderThan(state, first) {
  const at = first ? state.order.indexOf(first.id) : -1;
  if (at <= 0 || state.order[at - 1] !== first?.parent) return [];
  return shown({ ...state, order: state.order.slice(0, at) });
}

/**
 * Put older messages in front; `earlier`: there are more of them.
 * @param {State} state
 * @param {Earlier} page
 * @returns {Change[]}
 */
export function prepend(state, { messages, earlier }) {
  const first = state.messages.get(state.order[0]);
  const last = messages.findLast((each) => !hostOf(each));
  if (last && first?.parent !== last.id) return []; // another branch is shown by now
  take(state, [...messages.map(held), ...state.messages.values()]);
  state.earlier = earlier;
  return [{ what: "all" }];
}

/**
 * A snapshot may have been made before what is known already: it is then only good for what stands around the text.
 * @param {Held | undefined} known
 * @param {Message} snapshot
 */
function freshest(known, snapshot) {
  const fresh = held(snapshot);
  const older = snapshot.revision - (known?.revision ?? 0);
  // Together, because text may turn out to have been thinking.
  const further = fresh.length + fresh.reasoningLength - (known ? known.length + known.reasoningLength : 0);
  if (!known || older > 0 || (older === 0 && further >= 0)) return fresh;
  const { versions, queue_position, feedback, better } = snapshot;
  return Object.assign(known, { versions, queue_position, feedback, better });
}

/**
 * @param {State} state
 * @param {Message} snapshot
 * @returns {Change[]}
 */
function message(state, snapshot) {
  const known = state.messages.get(snapshot.id);
  const changes = acknowledged(snapshot);
  // A message of a branch that is not shown has another place: the server says `hello` when the branch changes.
  if (!known && !continues(state, snapshot)) return changes;
  // Snapshots of different processes may overtake each other: an older one tells nothing.
  if (known && snapshot.revision < known.revision) return changes;
  if (hostOf(snapshot)) state.comparisons.set(hostOf(snapshot), snapshot.id);
  else if (!known) state.order.push(snapshot.id);
  state.messages.set(snapshot.id, freshest(known, snapshot));
  return [{ what: "message", id: snapshot.id }, ...changes];
}

/**
 * Whether a message that is new belongs on the page: at its end, or beside one of its replies.
 * @param {State} state
 * @param {Message} snapshot
 */
function continues(state, snapshot) {
  if (hostOf(snapshot)) return state.messages.has(hostOf(snapshot));
  return snapshot.parent === (state.order.at(-1) ?? null);
}

/**
 * @param {Message} snapshot
 * @returns {Change[]}
 */
function acknowledged(snapshot) {
  return snapshot.client_id ? [{ what: "acknowledged", client_id: snapshot.client_id }] : [];
}

/**
 * @param {Message} snapshot
 * @returns {Held}
 */
function held(snapshot) {
  return {
    ...snapshot,
    length: points(snapshot.text),
    reasoningLength: points(snapshot.reasoning),
    uptoUnits: advance(snapshot.text, 0, snapshot.upto),
    blocks: [],
  };
}

/**
 * @param {State} state
 * @param {DeltaEvent} event
 * @returns {Change[]}
 */
function delta(state, event) {
  const found = state.messages.get(event.id);
  if (!found) return [];
  const thought = "reasoning" in event;
  const field = thought ? "reasoning" : "text";
  const count = thought ? "reasoningLength" : "length";
  if (event.offset > found[count]) return [{ what: "resync", id: event.id }];
  const added = thought ? event.reasoning : event.text;
  const length = points(added);
  const known = found[count] - event.offset;
  if (known >= length) return [];
  found[field] = found[field] + (known ? added.slice(advance(added, 0, known)) : added);
  found[count] = event.offset + length;
  if (found.status === "queued") found.status = "streaming";
  return [{ what: "grown", id: event.id }];
}

/**
 * @param {State} state
 * @param {BlockEvent} event
 * @returns {Change[]}
 */
function block(state, event) {
  const found = state.messages.get(event.id);
  if (!found || event.upto <= found.upto) return [];
  if (event.upto > found.length) return [{ what: "resync", id: event.id }];
  found.uptoUnits = advance(found.text, found.uptoUnits, event.upto - found.upto);
  found.upto = event.upto;
  found.html += event.html;
  found.blocks.push(event.html);
  return [{ what: "grown", id: event.id }];
}

/**
 * @param {State} state
 * @param {FeedbackEvent} event
 * @returns {Change[]}
 */
function feedback(state, event) {
  const found = state.messages.get(event.id);
  if (!found) return [];
  found.feedback = event.feedback;
  return [{ what: "feedback", id: event.id }];
}
