// @ts-check
// What is said beside a message, in words.

import { count, place, plural, seconds } from "./format.js";

/** @import { AliasChoice, Backend, Message } from "../shared/types.d.ts" */

/**
 * Why a queued reply has not begun.
 * @param {Pick<Message, "status" | "queue_position">} message
 * @param {string} hold why all of them have to wait, or ""
 */
export function waiting({ status, queue_position }, hold) {
  if (status === "awaiting") return "Begins when another model is ready";
  if (status !== "queued") return "";
  const line = queue_position !== null && queue_position > 1 ? place(queue_position) : "";
  return [hold, line].filter(Boolean).join(" · ") || "Waiting for its turn";
}

/**
 * What the status of a reply depends on, as one string.
 * @param {Message} message
 * @param {string} hold
 */
export function statusOf(message, hold) {
  const { status, text, model, handovers } = message;
  return [status, waiting(message, hold), Boolean(text), model, handovers.length].join("|");
}

/**
 * That something else answers than what the chosen alias stands for; "" where it does not, or where nothing is known.
 * @param {string} chosen
 * @param {AliasChoice[]} known
 * @param {Backend | null} backend
 */
export function aliasNote(chosen, known, backend) {
  if (!chosen || !backend) return "";
  const alias = known.find((each) => each.name === chosen);
  const loaded = backend.state === "ready" ? (backend.about?.name ?? backend.model) : "";
  const answers = `${loaded || "Whatever is loaded"} answers.`;
  if (!alias) return `You may not use the alias “${chosen}” any more. ${answers}`;
  if (alias.retired) return `${alias.retired} ${answers}`;
  const runs = backend.servers?.some(
    ({ model, state, out_of_service_since: out }) => model === alias.model && state === "ready" && !out,
  );
  if (runs || !alias.model || alias.model === backend.model || alias.model === backend.switch?.target)
    return "";
  return `“${chosen}” stands for ${alias.model}, which is not loaded. ${answers}`;
}

/**
 * That the model was not given all of the conversation; "" where it was.
 * @param {number} number of messages
 */
export function leftOut(number) {
  if (!number) return "";
  const verb = number === 1 ? "was" : "were";
  return `The ${plural(number, "oldest message")} did not fit into the model’s context and ${verb} left out.`;
}

/**
 * The title above what a model thought.
 * @param {Pick<Message, "reasoning_seconds" | "text">} message
 * @param {boolean} open whether the reply is still being written
 */
export function thoughtsTitle({ reasoning_seconds, text }, open) {
  if (open && !text) return "Thinking…";
  return reasoning_seconds ? `Thought for ${seconds(reasoning_seconds)}` : "Thoughts";
}

/**
 * What a reply took, and how it ended.
 * @param {Pick<Message, "model" | "status" | "finish_reason" | "usage">} message
 */
export function facts({ model, status, finish_reason, usage }) {
  const parts = model ? [model] : [];
  if (status === "stopped") parts.push("stopped");
  if (finish_reason === "length") parts.push("cut at the longest reply allowed");
  if (finish_reason === "max_chars")
    parts.push("ended here: it reached the most characters that a reply may have");
  if (usage?.completion_tokens) parts.push(`${count(usage.completion_tokens)} tokens`);
  if (typeof usage?.tokens_per_second === "number")
    parts.push(`${usage.tokens_per_second.toFixed(1)} tokens/s`);
  if (typeof usage?.seconds === "number") parts.push(seconds(usage.seconds));
  return parts;
}
