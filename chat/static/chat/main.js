// The chat page: wires socket, state and view together.

import { call } from "./api.js";
import { described, ended } from "./backend.js";
import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { byId, copyText, h, uuid } from "./dom.js";
import { onKey } from "./keys.js";
import { setUpMenu } from "./menu.js";
import { Models } from "./models.js";
import { Outbox } from "./outbox.js";
import { Requests } from "./requests.js";
import { setUpSearch } from "./search.js";
import { setUpSettings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { address } from "./site.js";
import { Socket } from "./socket.js";
import { apply, initial, isOpen, last, prepend } from "./state.js";
import { belongTo } from "./store.js";
import { setUpTheme } from "./theme.js";
import { toast } from "./toast.js";
import { View } from "./view.js";
import { Welcome } from "./welcome.js";

const AT_ONCE = 10; // frames
const UNSAVED = 3000; // milliseconds until what could not be saved is sent again
const TRY_AGAIN = 5000; // milliseconds until a conversation that could not be made is tried again

const boot = JSON.parse(byId("boot").textContent);
belongTo(boot.user.id, () => location.reload());
const state = initial();
state.conversation = boot.conversation;
const outbox = new Outbox(boot.conversation?.id ?? null);
const resyncing = new Set();
let settings = { system_prompt: "", temperature: null, max_tokens: null }; // of a conversation that has not begun
let socket = null;
let beginning = null;
let name = null; // of the conversation that begins
let fetching = false;
let told = false; // that nothing can be saved
let retrying = null;

// Messages ---------------------------------------------------------------------------------------------------------

const actions = {
  async copy(message, button) {
    toast((await copyText(message.text, view.views.get(message.id).formatted())) ? "Copied." : "The browser did not allow copying.", null, 2000);
    button.focus();
  },
  regenerate: (message) => now({ type: "regenerate", id: message.id }),
  goOn: (message) => now({ type: "continue", id: message.id }),
  select: (_, id) => now({ type: "select", id }),
  stop: (message) => now({ type: "stop", id: message.id }),
  earlier: fetchEarlier,
  edit(message) {
    view.views.get(message.id).edit((text) => post({ type: "edit", id: message.id, text, client_id: uuid() }));
  },
  again(frame) {
    delete frame.refused;
    outbox.keep();
    deliver(frame);
    view.schedule();
  },
  discard(frame) {
    outbox.take(frame.client_id);
    composer.put(frame.text);
    view.schedule();
    showWelcome();
  },
};

const view = new View(state, outbox, actions);
const sidebar = new Sidebar(boot.list, boot.conversation?.id ?? null);
const banner = new Banner(
  () => outbox.waiting.length,
  () => socket.now(),
);
const composer = new Composer(boot.conversation?.id ?? null, boot.max_chars, {
  send(text) {
    post({ type: "send", client_id: uuid(), text });
    view.toEnd();
  },
  stop: stopOne,
  editLast() {
    const message = last(state, (each) => each.role === "user");
    if (message) actions.edit(message);
    return Boolean(message);
  },
});

const requests = new Requests(() => state.backend?.model ?? "");
const models = new Models(requests, boot.may_switch);
const welcome = new Welcome((text) => composer.put(text), () => models.open(), boot.may_switch);
requests.onchange = () => {
  models.draw();
  showWelcome();
};

/** Send a frame that is only worth sending now. */
function now(frame) {
  if (!socket.send(frame)) toast("There is no connection at the moment. Try again when it is back.");
  else socket.expectAnswer();
}

/** Send a frame that must not be lost: it is kept until the server acknowledges it. */
function post(frame) {
  outbox.add(frame);
  deliver(frame);
  showWelcome();
  view.schedule();
}

function deliver(frame) {
  if (!state.conversation) begin();
  else if (view.connected && !beginning) transmit([frame]);
}

/** Send frames a few at a time: the server takes only so many a second, and answers the rest with "too_fast". */
function transmit(frames) {
  for (const frame of frames.slice(0, AT_ONCE)) if (socket.send(frame)) socket.expectAnswer();
  if (frames.length > AT_ONCE) later(frames.slice(AT_ONCE));
}

function later(frames) {
  const connection = socket;
  setTimeout(() => {
    const still = frames.filter((frame) => outbox.waiting.includes(frame));
    if (connection === socket && view.connected) transmit(still);
  }, 1000);
}

/** Make the conversation that the first message belongs to; its socket then sends what waits. */
function begin() {
  // The page names it: where the answer was lost, the next try finds it.
  name ??= uuid();
  if (!beginning && view.connected) socket.ask();
  beginning ??= call("POST", "/conversations", { ...settings, id: name })
    .then(({ id, title }) => {
      state.conversation = { id, title, ...settings };
      history.replaceState(null, "", address(`/c/${id}/`));
      outbox.belongTo(id);
      composer.belongTo(id);
      sidebar.current = id;
      sidebar.put({ id, title });
      view.reached = true;
      connect();
    })
    .catch((error) => {
      if (error.unreachable) {
        view.reached = false;
        view.schedule();
        setTimeout(beginAgain, TRY_AGAIN);
        return;
      }
      if (error.status === 507 || error.status === 503) {
        unsaved(error.message, () => state.conversation || begin());
        return;
      }
      for (const frame of outbox.waiting) outbox.refuse(frame.client_id, error.message);
      view.schedule();
    })
    .finally(() => (beginning = null));
}

/** Messages wait for a conversation that could not be made. */
function beginAgain() {
  if (!state.conversation && outbox.waiting.length) begin();
}

/** The reader comes near the first message that is shown, and there are older ones. */
async function fetchEarlier() {
  const [first] = state.order;
  if (!state.earlier || !first || fetching) return;
  fetching = true;
  try {
    const page = await call("GET", `/conversations/${state.conversation.id}/messages?before=${first}`);
    for (const change of prepend(state, page)) react(change);
  } catch (error) {
    toast(error.message);
  } finally {
    fetching = false;
  }
}

function stopOne() {
  const open = last(state, (each) => each.status === "streaming") ?? last(state, isOpen);
  if (open) now({ type: "stop", id: open.id });
  return Boolean(open);
}

// The socket -------------------------------------------------------------------------------------------------------

function connect() {
  socket?.close();
  const id = state.conversation?.id;
  let fresh = true;
  socket = new Socket(id ? `/ws/chat/${id}/` : "/ws/models/", {
    onstate(is) {
      if (is.is === "lost") fresh = true;
      view.connected = is.is === "open";
      banner.show(is);
      view.schedule();
      if (is.is === "lost" && is.tries > 1) showModel();
      if (is.is === "open" && !state.conversation) beginAgain();
      else if (is.is === "open" && !fresh) transmit(outbox.waiting); // after a doubt: repeats do no harm
    },
    onevent(event) {
      if (event.account && event.account !== boot.user.id) {
        location.reload(); // somebody else has signed in in this browser
        return;
      }
      if (event.type === "requests") requests.take(event.requests);
      if (event.type === "catalog") models.refresh();
      const before = state.backend;
      for (const change of apply(state, event)) react(change);
      if (event.type === "hello" && fresh) {
        fresh = false;
        if (state.conversation) transmit(outbox.waiting);
      }
      const words = event.type === "backend" ? ended(before, state.backend) : "";
      if (words) toast(words, null, 9000);
    },
  });
}

function react(change) {
  if (change.what === "acknowledged") {
    const frame = outbox.take(change.client_id);
    told = false;
    if (frame) sidebar.touch(state.conversation.id);
  } else if (change.what === "resync") {
    if (!resyncing.has(change.id)) socket.send({ type: "resync", id: change.id });
    resyncing.add(change.id);
  } else if (change.what === "error") {
    refused(change.error);
  } else if (change.what === "conversation" || change.what === "all") {
    showTitle();
  }
  if (change.what === "all") resyncing.clear();
  if (change.what === "message") resyncing.delete(change.id);
  if (change.what === "all" || change.what === "backend") showModel();
  if (change.what !== "grown") {
    composer.busy([...state.messages.values()].some(isOpen));
    showWelcome();
  }
  view.change(change);
}

/** The server can save nothing at the moment: what was sent is kept, and sent again until it is taken. */
function unsaved(detail, retry) {
  if (!told) toast(`${detail} What you wrote is kept here and sent again.`, null, 12_000);
  told = true;
  retrying ??= setTimeout(() => {
    retrying = null;
    retry();
  }, UNSAVED);
}

function refused({ code, detail, client_id: clientId }) {
  if (code === "not_saved" && outbox.waiting.some((frame) => frame.client_id === clientId)) {
    unsaved(detail, () => view.connected && transmit(outbox.waiting));
    return;
  }
  if (code === "too_fast") {
    later(outbox.waiting);
    return;
  }
  const frame = clientId && outbox.refuse(clientId, detail);
  if (frame?.type === "edit") outbox.take(clientId);
  if (frame?.type !== "send") toast(detail);
}

// Around the messages ----------------------------------------------------------------------------------------------

function showTitle() {
  const { id, title } = state.conversation ?? {};
  if (!id) return;
  document.title = `${title} · Gantry`;
  byId("heading").textContent = title;
  if (sidebar.rows.get(id)?.title !== title) sidebar.put({ id, title });
}

function showModel() {
  const { state: kind, name, detail, progress } = described(state.backend);
  byId("model").dataset.state = kind;
  byId("model-name").textContent = name;
  byId("model-detail").textContent = detail;
  byId("progress").hidden = progress === null;
  byId("progress-bar").style.transform = `scaleX(${progress ?? 0})`;
  models.take(state.backend);
  requests.draw();
  composer.area.placeholder = kind === "ready" ? `Message ${name}` : "Message the model";
  // Percentages are for the eyes; a listener hears each state once.
  const spoken = name.replace(/ \d+%/, "");
  if (byId("model-status").textContent !== spoken) byId("model-status").textContent = spoken;
}

function showWelcome() {
  const empty = state.order.length === 0 && outbox.frames.length === 0 && (!state.conversation || state.greeted);
  byId("welcome").hidden = !empty;
  welcome.show(described(state.backend).state === "unloaded", requests.anyOpen);
}

async function saveSettings(changed) {
  if (state.conversation) {
    await call("PATCH", `/conversations/${state.conversation.id}`, changed);
    Object.assign(state.conversation, changed);
  } else settings = changed;
  toast("Saved. Replies from now on follow these settings.", null, 3000);
}

function setUpKeys(openSearch) {
  const mac = /Mac|iP/.test(navigator.platform);
  byId("search-keys").textContent = mac ? "⌘ K" : "Ctrl K";
  byId("open-search").addEventListener("click", openSearch);
  onKey(document, (event) => {
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openSearch();
    } else if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
      if (stopOne()) event.preventDefault();
    } else if (event.key.length === 1 && !command && !event.altKey && event.key !== " " && document.activeElement === document.body) {
      composer.area.focus(); // typing anywhere is typing a message
    }
  });
}

function setUpCopyButtons() {
  byId("messages").addEventListener("click", async (event) => {
    const button = event.target.closest?.(".copy");
    if (!button) return;
    const done = await copyText(button.closest(".code").querySelector("code").textContent);
    button.textContent = done ? "Copied" : "Not allowed";
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
}

setUpMenu(byId("profile"), byId("profile-menu"));
setUpTheme([...document.querySelectorAll("[data-theme-choice]")]);
setUpKeys(setUpSearch(() => [...sidebar.rows.values()].sort((one, other) => other.updated_at.localeCompare(one.updated_at))));
setUpSettings(() => state.conversation ?? settings, saveSettings);
setUpCopyButtons();
sidebar.ontitle = (title) => {
  state.conversation.title = title;
  showTitle();
};
if (state.conversation) view.skeleton();
showWelcome();
view.schedule();
connect();
