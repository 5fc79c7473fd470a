// @ts-check
// On the page that says that somebody has signed out: nothing of theirs stays in this browser.

import { forget } from "./store.js";

forget();
