// The form of an automation rule: shows only what the chosen trigger uses. Without this script all fields are there, each
// with a text that says when it counts.

const USED = {
  start: ["what"],
  idle: ["idle_minutes"],
  time: ["what", "days", "at", "only_if_idle", "idle_minutes", "wait_minutes"],
};
const OF_IDLE = ["idle_minutes", "wait_minutes"];
const FIELDS = USED.time;

const trigger = document.getElementById("id_trigger");
const onlyIfIdle = document.getElementById("id_only_if_idle");

const row = (name) => document.querySelector(`.form-row.field-${name}`);

// What is hidden must not keep the form from being sent.
function hide(element, hidden) {
  element.hidden = hidden;
  for (const input of hidden ? element.querySelectorAll("input") : []) {
    if (!input.checkValidity()) input.value = input.defaultValue;
  }
}

function show() {
  const used = USED[trigger.value] ?? [];
  for (const name of FIELDS) {
    const spared = trigger.value === "time" && OF_IDLE.includes(name) && !onlyIfIdle.checked;
    if (row(name)) hide(row(name), trigger.value !== "" && (!used.includes(name) || spared));
  }
  const condition = row("days")?.closest("fieldset");
  if (condition) condition.hidden = FIELDS.filter((name) => name !== "what").every((name) => row(name)?.hidden);
  for (const choice of document.querySelectorAll("#id_what option")) {
    choice.hidden =
      (trigger.value === "time" && choice.value === "last") || (trigger.value === "start" && choice.value === "unload");
  }
}

if (trigger && onlyIfIdle) {
  trigger.addEventListener("change", show);
  onlyIfIdle.addEventListener("change", show);
  show();
}
