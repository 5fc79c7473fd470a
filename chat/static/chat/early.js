// @ts-check
// Runs before anything is painted, so that a chosen theme does not flash. The choice itself is made in theme.js.
(() => {
  let choice = null;
  let folded = null;
  try {
    choice = localStorage.getItem("gantry.theme");
    folded = localStorage.getItem("gantry.sidebar");
  } catch {
    // No storage here: the system's theme it is.
  }
  const root = document.documentElement;
  if (choice === "light" || choice === "dark") root.dataset.theme = choice;
  if (folded === "folded") root.dataset.sidebar = "folded";
})();
