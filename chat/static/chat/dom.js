// Small helpers around the DOM. Text always goes in as text: nothing here makes HTML of it.

export const byId = (id) => document.getElementById(id);

/** Make an element. `props`: attributes by name; `on…` functions are listeners; false and null are left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One of the drawings of icons.svg. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** Grow a textarea with its text, as far as its style allows. */
export function autosize(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

/** Copy `text`, with `html` beside it for programs that take formatted text. Returns whether the browser allowed it. */
export async function copyText(text, html = "") {
  const parts = Object.entries({ "text/plain": text, ...(html && { "text/html": html }) });
  try {
    const blobs = parts.map(([type, part]) => [type, new Blob([part], { type })]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
    return true;
  } catch {
    return copyByCommand(text, parts);
  }
}

/** No clipboard over plain http: the old way. */
function copyByCommand(text, parts) {
  const area = h("textarea", { class: "visually-hidden", readonly: true });
  const give = (event) => {
    event.preventDefault();
    for (const [type, part] of parts) event.clipboardData.setData(type, part);
  };
  area.value = text;
  area.addEventListener("copy", give);
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** A UUID; crypto.randomUUID is missing on pages served over plain http from another host. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
