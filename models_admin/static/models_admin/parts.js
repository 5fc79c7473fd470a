// What the Models page's scripts share: parts of the page that come anew from the server, and where the focus goes then.

export const FRAGMENT = { headers: { "X-Requested-With": "fragment" } };

// Whether a form of the page is being submitted: the page is about to be another, and must not change or reload before.
export const page = { leaving: false };

// What is replaced in its place is announced by screen readers, where the place is a status: what is equal stays.
export function replacePart(place, fresh) {
  takeTokens(place, fresh);
  const [old, young] = [place, fresh].map((part) => part.querySelectorAll("details"));
  if (old.length === young.length) old.forEach((each, n) => (young[n].open = each.open));
  if (place.isEqualNode(fresh)) return;
  const focused = place.contains(document.activeElement) && document.activeElement;
  place.replaceChildren(...fresh.childNodes);
  if (focused) (like(focused, place) ?? place).focus();
}

// The forms' tokens are written differently in each answer, which is no difference.
function takeTokens(place, fresh) {
  const [old, young] = [place, fresh].map((part) => part.querySelectorAll("[name=csrfmiddlewaretoken]"));
  if (old.length === young.length) old.forEach((field, n) => field.setAttribute("value", young[n].value));
}

// What does the same as the element that had the focus: it must not go to what does something else.
export function like(former, place) {
  const does = (element) => element.getAttribute("aria-label") ?? element.textContent.trim();
  return [...place.querySelectorAll("button, summary, a[href]")].find((each) => does(each) === does(former));
}

// Puts the focus near where it was, when what had it is gone: on the same control, the first link beside it, or the banner.
export function refocus(former, place) {
  const near = place?.isConnected && (like(former, place) ?? place.querySelector("a[href]"));
  (near || document.getElementById("gantry-state")).focus({ preventScroll: !near });
}

// Times in the reader's own time zone, written as the server writes them.
export function localize(root) {
  const two = (number) => String(number).padStart(2, "0");
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const when = new Date(element.dateTime);
    if (Number.isNaN(when.getTime())) continue;
    const month = when.toLocaleString("en", { month: "short" });
    const day = `${when.getDate()} ${month} ${when.getFullYear()}`;
    element.textContent = `${day}, ${two(when.getHours())}:${two(when.getMinutes())}`;
    element.dataset.local = "";
  }
}
