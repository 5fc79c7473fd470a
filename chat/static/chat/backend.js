// What the state of the server's model means to a reader: pure words, and a figure for the bar.

const about = (seconds) => (seconds > 1 ? `, about ${Math.round(seconds)} s` : "");

/** {state, name, detail, progress: 0…1 | null, hold: why a message would have to wait, or ""} */
export function described(backend) {
  if (!backend) return { state: "loading", name: "Connecting…", detail: "", progress: null, hold: "" };
  const { switch: running, model } = backend;
  if (backend.state === "switching" && running) return switching(running);
  if (backend.state === "unreachable") {
    const since = backend.unreachable_since ? ` since ${time(backend.unreachable_since)}` : "";
    return plain("unreachable", `TabbyAPI unreachable${since}`, "Messages are kept until it is back", `TabbyAPI unreachable${since}. Your message is kept.`);
  }
  if (backend.state === "unloaded" || !model) {
    if (backend.busy_with) return plain("unloaded", "Model not available", `TabbyAPI is still busy with ${backend.busy_with}`, `Model not available: TabbyAPI is still busy with ${backend.busy_with}`);
    return plain("unloaded", "Model not available", "An administrator must load one", "Model not available: an administrator must load one");
  }
  if (backend.healthy === false) {
    return plain("failing", "Replies may fail", "TabbyAPI reports a failure", "");
  }
  const context = backend.context ? `${Math.round(backend.context / 1024)}k context` : "";
  return plain("ready", title(backend), context, "");
}

/** What the loaded model is called: an administrator's name for it, or its own. */
function title({ model, about }) {
  return about?.id === model ? about.name : model;
}

function plain(state, name, detail, hold) {
  return { state, name, detail: detail ?? "", progress: null, hold };
}

function switching(running) {
  const percent = Math.round(running.percent ?? 0);
  const rest = about(running.eta_seconds ?? 0);
  const unload = running.kind === "unload";
  const name = {
    queued: unload ? "Unloading model…" : "Model loading…",
    draining: unload ? "Unloading model…" : "Model loading…",
    unloading: unload ? `Unloading model… ${percent}%` : "Model loading…",
    loading: `Model loading… ${percent}%`,
    verifying: "Model loading… 100%",
    rolling_back: `Model loading… ${percent}%`,
  }[running.state];
  const target = running.state === "rolling_back" ? `Going back to ${running.previous}` : running.target || running.previous;
  const detail = running.state === "draining" ? "Waiting for replies to finish" : `${target}${rest}`;
  const hold = unload ? "Model not available: it is being unloaded" : `${name}${rest}`;
  return { state: "switching", name: name ?? "Model loading…", detail, progress: progress(running, percent / 100), hold };
}

/** The whole way as one bar: unloading is short, loading is most of it. */
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

/** What to tell people when a switch has ended: words, or "" when it was none of their business. */
export function ended(before, now) {
  const last = now?.last;
  if (!last || !before || before.last?.id === last.id || before.switch?.id !== last.id) return "";
  const kept = now.model ? ` ${title(now)} answers.` : "";
  if (last.state === "failed") return `Switching to ${last.target || "no model"} failed: ${last.error || "no reason was given."}${kept}`;
  if (last.state === "cancelled") return `The switch to ${last.target} was cancelled.${kept}`;
  return last.target ? `${last.target === now.model ? title(now) : last.target} is ready.` : "The model was unloaded.";
}

function time(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
