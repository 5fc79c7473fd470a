// @ts-check
// What this browser keeps. How the page looks (theme, sidebar) belongs to the browser. All else (drafts, messages
// that were not acknowledged) belongs to an account: it is kept under its id, only as long as that account is the
// last that was here, and goes at sign-out. Without storage all of it works, only shorter.

const LOOKS = ["gantry.theme", "gantry.sidebar"];
const WHOSE = "gantry.account";

/** @typedef {"localStorage" | "sessionStorage"} Area */

/** @type {Map<string, any>} */
const memory = new Map();
let owner = "";

/** The id of the account that this page belongs to, "" before belongTo(). */
export const account = () => owner;

/**
 * Keep for this account from now on, and clear away what is another's.
 * @param {number} id
 * @param {() => void} gone is called if the account signs out elsewhere
 */
export function belongTo(id, gone) {
  owner = String(id);
  try {
    if (localStorage.getItem(WHOSE) !== owner) forget();
    localStorage.setItem(WHOSE, owner);
  } catch {
    // Storage is off or full.
  }
  window.addEventListener("storage", ({ key, newValue }) => key === WHOSE && newValue !== owner && gone());
}

/** Clear away what belongs to any account. */
export function forget() {
  try {
    for (const area of [localStorage, sessionStorage]) {
      const keys = Object.keys(area).filter((key) => key.startsWith("gantry.") && !LOOKS.includes(key));
      for (const key of keys) area.removeItem(key);
    }
  } catch {
    // Storage is off: there is nothing in it.
  }
}

/** @param {string} name */
const keyOf = (name) => `gantry.${owner}.${name}`;

/**
 * `window[area]`: the area is named, because to touch one that is switched off is an error.
 * @template T
 * @param {string} name
 * @param {T} fallback
 * @param {Area} area
 * @returns {T}
 */
export function read(name, fallback, area = "localStorage") {
  try {
    const value = window[area].getItem(keyOf(name));
    return value === null ? fallback : JSON.parse(value);
  } catch {
    return memory.has(name) ? memory.get(name) : fallback;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {Area} area
 */
export function write(name, value, area = "localStorage") {
  const empty = value === null || value === "" || (Array.isArray(value) && value.length === 0);
  try {
    if (empty) window[area].removeItem(keyOf(name));
    else if (localStorage.getItem(WHOSE) === owner) window[area].setItem(keyOf(name), JSON.stringify(value));
  } catch {
    // Storage is off or full.
  }
  if (empty) memory.delete(name);
  else memory.set(name, value);
}
