// @ts-check
// The chat page: wires socket, state and view together.

import { address } from "../shared/site.js";
import { Socket } from "../shared/socket.js";
import { call, Failure, words } from "./api.js";
import { described, ended } from "./backend.js";
import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { byId, copyText, uuid } from "./dom.js";
import { setUpMenu } from "./menu.js";
import { Models } from "./models.js";
import { Outbox } from "./outbox.js";
import { Requests } from "./requests.js";
import { setUpSearch } from "./search.js";
import { setUpSettings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { apply, initial, isOpen, last, prepend } from "./state.js";
import * as store from "./store.js";
import { setUpCopyButtons, setUpKeys } from "./shortcuts.js";
import { setUpTheme } from "./theme.js";
import { toast } from "./toast.js";
import { View } from "./view.js";
import { Welcome } from "./welcome.js";

/**
 * @import {
 *   Boot, ChatErrorEvent, Created, Frame, KeptFrame, Settings, SocketEvent, SocketState
 * } from "../shared/types.d.ts"
 * @import { Change } from "./state.js"
 * @import { Actions } from "./view.js"
 */

const AT_ONCE = 10; // frames
const UNSAVED = 3000; // milliseconds until what could not be saved is sent again
const TRY_AGAIN = 5000; // milliseconds until a conversation that could not be made is tried again

/** @type {Boot} */
const boot = JSON.parse(byId("boot").textContent ?? "");
store.belongTo(boot.user.id, () => location.reload());
const state = initial();
state.conversation = boot.conversation;
const outbox = new Outbox(boot.conversation?.id ?? null, store);
/** @type {Set<number>} */
const resyncing = new Set();
/** @type {Settings} */
let settings = { system_prompt: "", temperature: null, max_tokens: null }; // of a conversation that has not begun
/** @type {Socket} */
let socket;
/** @type {Promise<void> | null} */
let beginning = null;
/** @type {string | null} */
let newId = null; // of the conversation that begins
let fetching = false;
let fresh = true; // the socket has not been greeted yet
let told = false; // that nothing can be saved
/** @type {number | null} */
let retrying = null;

// Messages ---------------------------------------------------------------------------------------------------------

/** @type {Actions} */
const actions = {
  async copy(message, button) {
    const done = await copyText(message.text, view.views.get(message.id)?.formatted());
    toast(done ? "Copied." : "The browser did not allow copying.", null, 2000);
    button.focus();
  },
  regenerate: (message) => now({ type: "regenerate", id: message.id }),
  goOn: (message) => now({ type: "continue", id: message.id }),
  select: (_, id) => now({ type: "select", id }),
  stop: (message) => now({ type: "stop", id: message.id }),
  earlier: fetchEarlier,
  edit(message) {
    const shown = view.views.get(message.id);
    shown?.edit((text) => post({ type: "edit", id: message.id, text, client_id: uuid() }));
  },
  again(frame) {
    outbox.again(frame);
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
const welcome = new Welcome(
  (text) => composer.put(text),
  () => models.open(),
  boot.may_switch,
);
requests.onchange = () => {
  models.draw();
  showWelcome();
};

/**
 * Send a frame that is only worth sending now.
 * @param {Frame} frame
 */
function now(frame) {
  if (!socket.send(frame)) toast("There is no connection at the moment. Try again when it is back.");
  else socket.expectAnswer();
}

/**
 * Send a frame that must not be lost: it is kept until the server acknowledges it.
 * @param {KeptFrame} frame
 */
function post(frame) {
  outbox.add(frame);
  deliver(frame);
  showWelcome();
  view.schedule();
}

/** @param {KeptFrame} frame */
function deliver(frame) {
  if (!state.conversation) begin();
  else if (view.connected && !beginning) transmit([frame]);
}

/**
 * Send frames a few at a time: the server takes only so many a second, and answers the rest with "too_fast".
 * @param {KeptFrame[]} frames
 */
function transmit(frames) {
  for (const frame of frames.slice(0, AT_ONCE)) if (socket.send(frame)) socket.expectAnswer();
  if (frames.length > AT_ONCE) later(frames.slice(AT_ONCE));
}

/** @param {KeptFrame[]} frames */
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
  newId ??= uuid();
  if (!beginning && view.connected) socket.ask();
  beginning ??= call("POST", "/conversations", { ...settings, id: newId })
    .then(begun)
    .catch(notBegun)
    .finally(() => {
      beginning = null;
    });
}

/** @param {Created} made */
function begun({ id, title }) {
  state.conversation = { id, title, ...settings };
  history.replaceState(null, "", address(`/c/${id}/`));
  outbox.belongTo(id);
  composer.belongTo(id);
  sidebar.current = id;
  sidebar.put({ id, title });
  view.reached = true;
  connect();
}

/** @param {unknown} error */
function notBegun(error) {
  const status = error instanceof Failure ? error.status : 0;
  if (status === undefined) {
    view.reached = false;
    view.schedule();
    setTimeout(beginAgain, TRY_AGAIN);
  } else if (status === 507 || status === 503) {
    unsaved(words(error), beginAgain);
  } else {
    for (const frame of outbox.waiting) outbox.refuse(frame.client_id, words(error));
    view.schedule();
  }
}

/** Messages wait for a conversation that could not be made. */
function beginAgain() {
  if (!state.conversation && outbox.waiting.length) begin();
}

/** The reader comes near the first message that is shown, and there are older ones. */
async function fetchEarlier() {
  const [first] = state.order;
  if (!state.conversation || !state.earlier || !first || fetching) return;
  fetching = true;
  try {
    const page = await call("GET", `/conversations/${state.conversation.id}/messages?before=${first}`);
    for (const change of prepend(state, page)) react(change);
  } catch (error) {
    toast(words(error));
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
  fresh = true;
  socket = new Socket(id ? `/ws/chat/${id}/` : "/ws/models/", { onstate, onevent });
}

/** @param {SocketState} stands */
function onstate(stands) {
  const open = stands.is === "open";
  if (stands.is === "lost") fresh = true;
  view.connected = open;
  banner.show(stands);
  view.schedule();
  if (stands.is === "lost" && stands.tries > 1) showModel();
  if (open && !state.conversation) beginAgain();
  else if (open && !fresh) transmit(outbox.waiting); // after a doubt: repeats do no harm
}

/** @param {SocketEvent} event */
function onevent(event) {
  if (event.type === "hello" && event.account && event.account !== boot.user.id) {
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
  const end = event.type === "backend" ? ended(before, state.backend) : "";
  if (end) toast(end, null, 9000);
}

/** @param {Change} change */
function react(change) {
  if (change.what === "acknowledged") {
    const frame = outbox.take(change.client_id);
    told = false;
    if (frame && state.conversation) sidebar.touch(state.conversation.id);
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

/**
 * The server can save nothing at the moment: what was sent is kept, and sent again until it is taken.
 * @param {string} detail
 * @param {() => void} retry
 */
function unsaved(detail, retry) {
  if (!told) toast(`${detail} What you wrote is kept here and sent again.`, null, 12_000);
  told = true;
  if (retrying !== null) return;
  retrying = window.setTimeout(() => {
    retrying = null;
    retry();
  }, UNSAVED);
}

/** @param {ChatErrorEvent} error */
function refused({ code, detail, client_id: clientId }) {
  if (code === "not_saved" && outbox.waiting.some((frame) => frame.client_id === clientId)) {
    unsaved(detail, () => view.connected && transmit(outbox.waiting));
    return;
  }
  if (code === "too_fast") {
    later(outbox.waiting);
    return;
  }
  const frame = clientId ? outbox.refuse(clientId, detail) : undefined;
  if (frame?.type === "edit") outbox.take(frame.client_id);
  if (frame?.type !== "send") toast(detail);
}

// Around the messages ----------------------------------------------------------------------------------------------

function showTitle() {
  if (!state.conversation) return;
  const { id, title } = state.conversation;
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
  const empty =
    state.order.length === 0 && outbox.frames.length === 0 && (!state.conversation || state.greeted);
  byId("welcome").hidden = !empty;
  welcome.show(described(state.backend).state === "unloaded", requests.anyOpen);
}

/** @param {Settings} changed */
async function saveSettings(changed) {
  if (state.conversation) {
    await call("PATCH", `/conversations/${state.conversation.id}`, changed);
    Object.assign(state.conversation, changed);
  } else settings = changed;
  toast("Saved. Replies from now on follow these settings.", null, 3000);
}

setUpMenu(byId("profile"), byId("profile-menu"));
setUpTheme([...document.querySelectorAll("button")].filter((each) => each.dataset.themeChoice));
setUpKeys({
  search: setUpSearch(() =>
    [...sidebar.rows.values()].sort((one, other) => other.updated_at.localeCompare(one.updated_at)),
  ),
  stop: stopOne,
  type: () => composer.area.focus(),
});
setUpSettings(() => state.conversation ?? settings, saveSettings);
setUpCopyButtons();
sidebar.ontitle = (title) => {
  if (state.conversation) state.conversation.title = title;
  showTitle();
};
if (state.conversation) view.skeleton();
showWelcome();
view.schedule();
connect();
