// @ts-check
// What the replies of one conversation are asked with: alias, system prompt, temperature, longest reply.

import { words } from "./api.js";
import { byId } from "./dom.js";

/**
 * @import { Settings } from "../shared/types.d.ts"
 * @import { Aliases } from "./aliases.js"
 */

/**
 * @param {() => Partial<Settings>} current
 * @param {(settings: Settings) => Promise<void>} save throws an Error where they cannot be kept
 * @param {Aliases} aliases that may be chosen
 */
export function setUpSettings(current, save, aliases) {
  const dialog = byId("settings", HTMLDialogElement);
  const form = byId("settings-form", HTMLFormElement);
  const problem = byId("settings-error");
  const alias = byId("set-alias", HTMLSelectElement);
  const prompt = byId("set-prompt", HTMLTextAreaElement);
  const temperature = byId("set-temperature", HTMLInputElement);
  const tokens = byId("set-tokens", HTMLInputElement);

  /** @param {string} chosen */
  const offer = (chosen) => {
    aliases.fill(alias, chosen);
    byId("set-alias-field").hidden = alias.options.length < 2;
  };

  byId("open-settings").addEventListener("click", () => {
    const settings = current();
    offer(settings.alias ?? "");
    aliases.fetch().then(() => offer(alias.value));
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
        alias: alias.value,
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
