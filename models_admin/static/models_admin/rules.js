// @ts-check
// The form of an automation rule: shows only what the chosen trigger uses. Without this script all fields are there,
// each with a text that says when it counts.

/** @type {Record<string, string[]>} */
const USED = {
  start: ["what"],
  idle: ["idle_minutes"],
  time: ["what", "days", "at", "only_if_idle", "idle_minutes", "wait_minutes"],
};
const OF_IDLE = ["idle_minutes", "wait_minutes"];
const FIELDS = USED.time;

/**
 * @param {string} name
 * @returns {HTMLElement | null}
 */
const row = (name) => document.querySelector(`.form-row.field-${name}`);

/**
 * What is hidden must not keep the form from being sent.
 * @param {HTMLElement} element
 * @param {boolean} hidden
 */
function hide(element, hidden) {
  element.hidden = hidden;
  for (const input of hidden ? element.querySelectorAll("input") : []) {
    if (!input.checkValidity()) input.value = input.defaultValue;
  }
}

/**
 * @param {string} trigger
 * @param {boolean} onlyIfIdle
 */
function show(trigger, onlyIfIdle) {
  const used = USED[trigger] ?? [];
  for (const name of FIELDS) {
    const spared = trigger === "time" && OF_IDLE.includes(name) && !onlyIfIdle;
    const element = row(name);
    if (element) hide(element, trigger !== "" && (!used.includes(name) || spared));
  }
  const condition = row("days")?.closest("fieldset");
  if (condition)
    condition.hidden = FIELDS.filter((name) => name !== "what").every((name) => row(name)?.hidden);
  const what = document.getElementById("id_what");
  for (const choice of what?.querySelectorAll("option") ?? []) {
    choice.hidden =
      (trigger === "time" && choice.value === "last") || (trigger === "start" && choice.value === "unload");
  }
}

const trigger = document.getElementById("id_trigger");
const onlyIfIdle = document.getElementById("id_only_if_idle");
if (trigger instanceof HTMLSelectElement && onlyIfIdle instanceof HTMLInputElement) {
  const showNow = () => show(trigger.value, onlyIfIdle.checked);
  trigger.addEventListener("change", showNow);
  onlyIfIdle.addEventListener("change", showNow);
  showNow();
}

export {};
