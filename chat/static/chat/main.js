// @ts-check
// The chat page: wires socket, state and view together.

import { address } from "../shared/site.js";
import { Socket } from "../shared/socket.js";
import { Aliases } from "./aliases.js";
import { call, words } from "./api.js";
import { described, ended } from "./backend.js";
import { Banner } from "./banner.js";
import { copyText, formatted } from "./clipboard.js";
import { Composer } from "./composer.js";
import { Delivery } from "./delivery.js";
import { byId, uuid } from "./dom.js";
import { setUpMenu } from "./menu.js";
import { Models } from "./models.js";
import { Outbox } from "./outbox.js";
import { Requests } from "./requests.js";
import { setUpSearch } from "./search.js";
import { setUpSettings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { apply, initial, isOpen, last, prepend, shown } from "./state.js";
import * as store from "./store.js";
import { setUpCopyButtons, setUpKeys } from "./shortcuts.js";
import { setUpTheme } from "./theme.js";
import { toast } from "./toast.js";
import { View } from "./view.js";
import { Welcome } from "./welcome.js";

/**
 * @import {
 *   Boot, Frame, Settings, SocketEvent, SocketState
 * } from "../shared/types.d.ts"
 * @import { Change } from "./state.js"
 * @import { Actions } from "./view.js"
 */

/** @type {Boot} */
const boot = JSON.parse(byId("boot").textContent ?? "");
store.belongTo(boot.user.id, () => location.reload());
const state = initial();
state.conversation = boot.conversation;
const outbox = new Outbox(boot.conversation?.id ?? null, store);
/** @type {Set<number>} */
const resyncing = new Set();
/** @type {Socket} */
let socket;
let fetching = false;
let fresh = true; // the socket has not been greeted yet

// Messages ---------------------------------------------------------------------------------------------------------

/** @type {Actions} */
const actions = {
  async copy(message, button) {
    const prose = message.role === "assistant" ? view.find(message)?.prose : undefined;
    const done = await copyText(message.text, formatted(prose));
    toast(done ? "Copied." : "The browser did not allow copying.", null, 2000);
    button.focus();
  },
  regenerate: (message) => now({ type: "regenerate", id: message.id }),
  goOn: (message) => now({ type: "continue", id: message.id }),
  select: (_, id) => now({ type: "select", id }),
  stop: (message) => now({ type: "stop", id: message.id }),
  compare: (id) => now({ type: "compare", id }),
  judge: ({ id }, better) => now({ type: "judge", id, better }),
  keep: ({ id }) => now({ type: "keep", id }),
  earlier: fetchEarlier,
  asked: ({ parent }) => state.messages.get(parent ?? 0)?.text ?? "",
  async rate({ id }, said) {
    const answer = await call(said ? "PUT" : "DELETE", `/replies/${id}/feedback`, said ?? undefined);
    for (const change of apply(state, { type: "feedback", id, feedback: said && answer })) react(change);
  },
  edit(message) {
    const shown = view.views.get(message.id);
    shown?.edit((text) => delivery.post({ type: "edit", id: message.id, text, client_id: uuid() }));
  },
  again(frame) {
    outbox.again(frame);
    delivery.deliver(frame);
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
    delivery.post({ type: "send", client_id: uuid(), text });
    view.toEnd();
  },
  stop: stopOne,
  editLast() {
    const message = last(state, (each) => each.role === "user");
    if (message) actions.edit(message);
    return Boolean(message);
  },
});

const delivery = new Delivery(state, outbox, view, {
  socket: () => socket,
  kept: showWelcome,
  begun({ id, title }) {
    history.replaceState(null, "", address(`/c/${id}/`));
    composer.belongTo(id);
    sidebar.current = id;
    sidebar.put({ id, title });
    connect();
  },
});

const aliases = new Aliases(boot.aliases, byId("alias-note"));
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
  if (open && !state.conversation) delivery.beginAgain();
  else if (open && !fresh) delivery.transmit(outbox.waiting); // after a doubt: repeats do no harm
}

/** @param {SocketEvent} event */
function onevent(event) {
  if (event.type === "hello" && event.account && event.account !== boot.user.id) {
    location.reload(); // somebody else has signed in in this browser
    return;
  }
  if (event.type === "requests") requests.take(event.requests);
  if (event.type === "catalog") {
    models.refresh();
    if (settings().alias) aliases.fetch().then(showAlias);
  }
  const before = state.backend;
  for (const change of apply(state, event)) react(change);
  if (event.type === "hello" && fresh) {
    fresh = false;
    if (state.conversation) delivery.transmit(outbox.waiting);
  }
  const end = event.type === "backend" ? ended(before, state.backend) : "";
  if (end) toast(end, null, 9000);
}

/** @param {Change} change */
function react(change) {
  if (change.what === "acknowledged") {
    const frame = delivery.acknowledged(change.client_id);
    if (frame && state.conversation) sidebar.touch(state.conversation.id);
  } else if (change.what === "resync") {
    if (!resyncing.has(change.id)) socket.send({ type: "resync", id: change.id });
    resyncing.add(change.id);
  } else if (change.what === "error") {
    delivery.refused(change.error);
  } else if (change.what === "conversation" || change.what === "all") {
    showTitle();
    showAlias();
  }
  if (change.what === "all") resyncing.clear();
  if (change.what === "message") resyncing.delete(change.id);
  if (change.what === "all" || change.what === "backend") showModel();
  if (change.what !== "grown") {
    composer.busy(shown(state).some(isOpen));
    showWelcome();
  }
  view.change(change);
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
  showAlias();
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

const settings = () => state.conversation ?? delivery.settings;

function showAlias() {
  aliases.show(settings().alias ?? "", state.backend);
}

/** @param {Settings} changed */
async function saveSettings(changed) {
  if (state.conversation) {
    await call("PATCH", `/conversations/${state.conversation.id}`, changed);
    Object.assign(state.conversation, changed);
  } else delivery.settings = changed;
  showAlias();
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
setUpSettings(settings, saveSettings, aliases);
setUpCopyButtons();
sidebar.ontitle = (title) => {
  if (state.conversation) state.conversation.title = title;
  showTitle();
};
if (state.conversation) view.skeleton();
showWelcome();
view.schedule();
connect();
