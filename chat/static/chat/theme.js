// @ts-check
// Light, dark, or as the system has it. early.js applies the choice before the first paint.

/** @param {HTMLElement[]} buttons one for each choice */
export function setUpTheme(buttons) {
  const root = document.documentElement;
  const show = () => {
    const choice = root.dataset.theme ?? "system";
    for (const button of buttons)
      button.setAttribute("aria-checked", String(button.dataset.themeChoice === choice));
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const choice = button.dataset.themeChoice ?? "system";
      if (choice === "system") delete root.dataset.theme;
      else root.dataset.theme = choice;
      try {
        if (choice === "system") localStorage.removeItem("gantry.theme");
        else localStorage.setItem("gantry.theme", choice);
      } catch {
        // Without storage the choice holds for this page.
      }
      show();
    });
  }
  show();
}
