// @ts-check
// The lines of a switch or a rollout, as they come from the socket.

/** @import { Line } from "../shared/types.d.ts" */

/**
 * @param {Element} box what has the list in it
 * @param {Line[]} lines
 */
export function showLines(box, lines) {
  const items = lines.map((line) => {
    const item = document.createElement("li");
    item.className = `gantry-line-${line.state}`;
    item.textContent = line.text;
    return item;
  });
  box.querySelector("[data-lines]")?.replaceChildren(...items);
}
