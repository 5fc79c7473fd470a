// @ts-check
// The list of added models, live: while a download is under way, the list is asked for anew.

import { fetched } from "../shared/fetching.js";
import { byId, localize, replacePart } from "./parts.js";

const EVERY = 1500; // milliseconds

async function show() {
  const { answer, html } = await fetched(location.href, {}, async (got) => ({
    answer: got,
    html: await got.text(),
  }));
  if (!answer.ok || answer.redirected) return true; // somebody has signed out, or Gantry is being restarted
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const place = byId("gantry-downloads");
  const young = fresh.getElementById("gantry-downloads");
  localize(fresh);
  replacePart(place, young);
  return young !== null && "underWay" in young.dataset;
}

async function follow() {
  if (!document.hidden && !(await show().catch(() => true))) return;
  setTimeout(follow, EVERY);
}

setTimeout(follow, EVERY);
