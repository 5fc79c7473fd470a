// @ts-check
// The Copy button beside a new token. Without this script the field can be copied from by hand.

const status = document.getElementById("copied");

for (const button of document.querySelectorAll("button")) {
  const field = document.getElementById(button.dataset.copy ?? "");
  if (status && field instanceof HTMLInputElement) setUp(button, field, status);
}

/**
 * @param {HTMLElement} button
 * @param {HTMLInputElement} field
 * @param {HTMLElement} status
 */
function setUp(button, field, status) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      status.textContent = "Copied.";
    } catch {
      status.textContent = "It is selected: copy it with the keyboard.";
    }
  });
}

export {};
