// What the replies of one conversation are asked with: system prompt, temperature, longest reply.

import { byId } from "./dom.js";

/** `current()` returns {system_prompt, temperature, max_tokens}; `save(settings)` keeps them, or throws an Error. */
export function setUpSettings(current, save) {
  const dialog = byId("settings");
  const form = byId("settings-form");
  const problem = byId("settings-error");
  const fields = form.elements;

  byId("open-settings").addEventListener("click", () => {
    const settings = current();
    for (const name of ["system_prompt", "temperature", "max_tokens"]) fields[name].value = settings?.[name] ?? "";
    problem.hidden = true;
    dialog.showModal();
  });
  byId("settings-cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = (name) => (fields[name].value === "" ? null : Number(fields[name].value));
    try {
      await save({ system_prompt: fields.system_prompt.value, temperature: number("temperature"), max_tokens: number("max_tokens") });
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  });
}
