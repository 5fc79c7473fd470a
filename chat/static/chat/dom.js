// @ts-check
// Small helpers around the DOM. Text always goes in as text: nothing here makes HTML of it.

/** @typedef {Node | string | number | null | undefined | false} Child */

/** @typedef {MouseEvent & {currentTarget: HTMLElement}} Click */

/** @typedef {{onclick?: (event: Click) => unknown, [name: string]: unknown}} Props */

/**
 * The element with that id; an Error where there is none of that kind.
 * @template {HTMLElement} T
 * @overload
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
/**
 * @overload
 * @param {string} id
 * @returns {HTMLElement}
 */
/**
 * @param {string} id
 * @param {new () => HTMLElement} kind
 */
export function byId(id, kind = HTMLElement) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} “${id}”.`);
  return found;
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} props attributes by name; “onclick” is a listener; false and null are left out
 * @param {Child[]} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function")
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children.filter(isSomething).map((child) => (child instanceof Node ? child : String(child))),
  );
  return element;
}

/**
 * @param {Child} child
 * @returns {child is Node | string | number}
 */
const isSomething = (child) => child !== null && child !== undefined && child !== false;

/**
 * One of the drawings of icons.svg.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button that sends no form.
 * @param {string} kind its classes
 * @param {(event: Click) => unknown} onclick
 * @param {Child[]} children
 */
export function press(kind, onclick, ...children) {
  return h("button", { type: "button", class: kind, onclick }, ...children);
}

/**
 * @param {string} name of the icon
 * @param {string} label
 * @param {(event: Click) => unknown} onclick
 * @param {Props} props
 */
export function iconButton(name, label, onclick, props = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props },
    icon(name),
  );
}

/**
 * Grow a textarea with its text, as far as its style allows.
 * @param {HTMLTextAreaElement} area
 */
export function autosize(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

/** A UUID; crypto.randomUUID is missing on pages served over plain http from another host. */
export function uuid() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * The first element within `root` that `selector` finds.
 * @param {ParentNode} root
 * @param {string} selector
 */
export function find(root, selector) {
  const found = root.querySelector(selector);
  return found instanceof HTMLElement ? found : null;
}
