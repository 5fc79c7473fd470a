// @ts-check
// What the state of the server's model means to a reader: pure words, and a figure for the bar.

/** @import { Backend, Rollout, Switch } from "../shared/types.d.ts" */

/**
 * @typedef {object} Described
 * @property {"loading" | "failing" | Backend["state"]} state
 * @property {string} name
 * @property {string} detail
 * @property {number | null} progress 0…1
 * @property {string} hold why a message would have to wait, or ""
 */

/** @param {number} seconds */
const about = (seconds) => (seconds > 1 ? `, about ${Math.round(seconds)} s` : "");

/**
 * @param {Backend | null} backend
 * @returns {Described}
 */
export function described(backend) {
  if (!backend) return { state: "loading", name: "Connecting…", detail: "", progress: null, hold: "" };
  const { switch: running, model } = backend;
  if (backend.state === "switching" && running) return switching(running);
  if (backend.state === "unreachable") {
    const since = backend.unreachable_since ? ` since ${time(backend.unreachable_since)}` : "";
    return plain(
      "unreachable",
      `TabbyAPI unreachable${since}`,
      "Messages are kept until it is back",
      `TabbyAPI unreachable${since}. Your message is kept.`,
    );
  }
  if (backend.state === "unloaded" || !model) {
    if (backend.busy_with)
      return plain(
        "unloaded",
        "Model not available",
        `TabbyAPI is still busy with ${backend.busy_with}`,
        `Model not available: TabbyAPI is still busy with ${backend.busy_with}`,
      );
    return plain(
      "unloaded",
      "Model not available",
      "An administrator must load one",
      "Model not available: an administrator must load one",
    );
  }
  if (backend.healthy === false) {
    return plain("failing", "Replies may fail", "TabbyAPI reports a failure", "");
  }
  if (backend.rollout) return rolling(title(backend), backend.rollout);
  const context = backend.context ? `${Math.round(backend.context / 1024)}k context` : "";
  return plain("ready", title(backend), context, "");
}

/**
 * What the loaded model is called: an administrator's name for it, or its own.
 * @param {Backend} backend
 */
function title({ model, about }) {
  return about?.id === model ? about.name : model;
}

/**
 * @param {Described["state"]} state
 * @param {string} name
 * @param {string} detail
 * @param {string} hold
 * @returns {Described}
 */
function plain(state, name, detail, hold) {
  return { state, name, detail, progress: null, hold };
}

/**
 * The servers are changed one after the other, while the others answer.
 * @param {string} name
 * @param {Rollout} rollout
 * @returns {Described}
 */
function rolling(name, { target, percent }) {
  const detail = `${percent}% · ${target ? `switching to ${target}` : "unloading"}`;
  return { state: "ready", name, detail, progress: percent / 100, hold: "" };
}

/**
 * @param {Switch} running
 * @returns {Described}
 */
function switching(running) {
  const percent = Math.round(running.percent);
  const rest = about(running.eta_seconds ?? 0);
  const unload = running.kind === "unload";
  /** @type {Partial<Record<Switch["state"], string>>} */
  const names = {
    queued: unload ? "Unloading model…" : "Model loading…",
    draining: unload ? "Unloading model…" : "Model loading…",
    unloading: unload ? `Unloading model… ${percent}%` : "Model loading…",
    loading: `Model loading… ${percent}%`,
    verifying: "Model loading… 100%",
    rolling_back: `Model loading… ${percent}%`,
  };
  const name = names[running.state] ?? "Model loading…";
  const target =
    running.state === "rolling_back"
      ? `Going back to ${running.previous}`
      : running.tried
        ? `Trying ${running.target} out`
        : running.target || running.previous;
  const detail = running.state === "draining" ? "Waiting for replies to finish" : `${target}${rest}`;
  const hold = unload ? "Model not available: it is being unloaded" : `${name}${rest}`;
  return {
    state: "switching",
    name,
    detail,
    progress: progress(running, percent / 100),
    hold,
  };
}

/**
 * The whole way as one bar: unloading is short, loading is most of it.
 * @param {Switch} running
 * @param {number} part of the step
 */
function progress(running, part) {
  if (running.kind === "unload") return running.state === "unloading" ? part : 0.02;
  switch (running.state) {
    case "unloading":
      return 0.02 + 0.13 * part;
    case "loading":
    case "rolling_back":
      return 0.15 + 0.82 * part;
    case "verifying":
      return 0.98;
    default:
      return 0.02;
  }
}

/**
 * What to tell people when a switch has ended, or a rollout with all of its switches: words, or "" when it was none of
 * their business.
 * @param {Backend | null} before
 * @param {Backend | null} now
 */
export function ended(before, now) {
  const last = now?.last;
  if (!last || !before || now.rollout) return "";
  if (!before.rollout && (before.last?.id === last.id || before.switch?.id !== last.id)) return "";
  const kept = now.model ? ` ${title(now)} answers.` : "";
  if (last.state === "failed")
    return `Switching to ${last.target || "no model"} failed: ${last.error || "no reason was given."}${kept}`;
  if (last.state === "cancelled") return `The switch to ${last.target} was cancelled.${kept}`;
  return last.target
    ? `${last.target === now.model ? title(now) : last.target} is ready.`
    : "The model was unloaded.";
}

/** @param {string} iso */
function time(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
