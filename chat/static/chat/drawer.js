// @ts-check
// The sidebar is folded away and brought back: beside the messages, or on a phone as a drawer over them.

import { byId } from "./dom.js";
import { onKey } from "./keys.js";

const PHONE = matchMedia("(max-width: 47.99rem)");

export function setUpDrawer() {
  const root = document.documentElement;
  const opener = byId("sidebar-open");
  const sidebar = byId("sidebar");
  /** @param {boolean} open */
  const show = (open) => {
    if (PHONE.matches) {
      root.classList.toggle("drawer", open);
      byId("scrim").hidden = !open;
    } else if (open) {
      delete root.dataset.sidebar;
      localStorage.removeItem("gantry.sidebar");
    } else {
      root.dataset.sidebar = "folded";
      localStorage.setItem("gantry.sidebar", "folded");
    }
    opener.setAttribute("aria-expanded", String(open));
    if (open) byId("sidebar-close").focus();
    else if (sidebar.contains(document.activeElement) || document.activeElement === document.body)
      opener.focus();
  };
  opener.addEventListener("click", () => show(true));
  byId("sidebar-close").addEventListener("click", () => show(false));
  byId("scrim").addEventListener("click", () => show(false));
  onKey(sidebar, (event) => event.key === "Escape" && PHONE.matches && show(false));
  PHONE.addEventListener("change", () => {
    root.classList.remove("drawer");
    byId("scrim").hidden = true;
  });
}
