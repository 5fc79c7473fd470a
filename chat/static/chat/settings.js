// @ts-check
// What the replies of one conversation are asked with: system prompt, temperature, longest reply.

import { words } from "./api.js";
import { byId } from "./dom.js";

/** @import { Settings } from "../shared/types.d.ts" */

/**
 * @param {() => Partial<Settings>} current
 * @param {(settings: Settings) => Promise<void>} save throws an Error where they cannot be kept
 */
export function setUpSettings(current, save) {
  const dialog = byId("settings", HTMLDialogElement);
  const form = byId("settings-form", HTMLFormElement);
  const problem = byId("settings-error");
  const prompt = byId("set-prompt", HTMLTextAreaElement);
  const temperature = byId("set-temperature", HTMLInputElement);
  const tokens = byId("set-tokens", HTMLInputElement);

  byId("open-settings").addEventListener("click", () => {
    const settings = current();
    prompt.value = settings.system_prompt ?? "";
    temperature.value = String(settings.temperature ?? "");
    tokens.value = String(settings.max_tokens ?? "");
    problem.hidden = true;
    dialog.showModal();
  });
  byId("settings-cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await save({
        system_prompt: prompt.value,
        temperature: number(temperature),
        max_tokens: number(tokens),
      });
      dialog.close();
    } catch (error) {
      problem.textContent = words(error);
      problem.hidden = false;
    }
  });
}

/** @param {HTMLInputElement} field */
const number = ({ value }) => (value === "" ? null : Number(value));
