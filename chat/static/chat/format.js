// @ts-check
// Words and figures as people read them.

/**
 * "7.6 s", "1 min 4 s"
 * @param {number} value
 */
export function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 59.5) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** @param {number} value */
export const count = (value) => value.toLocaleString("en");

/** @param {string} iso */
export const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/**
 * @param {number} number
 * @param {string} one
 */
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/**
 * "Next in line", "2nd in line", "11th in line"
 * @param {number} position
 */
export function place(position) {
  if (position <= 1) return "Next in line";
  /** @type {Partial<Record<Intl.LDMLPluralRule, string>>} */
  const ends = { one: "st", two: "nd", few: "rd", other: "th" };
  return `${position}${ends[new Intl.PluralRules("en", { type: "ordinal" }).select(position)]} in line`;
}

const DAY = 86_400_000;

/**
 * The group of the sidebar that a moment belongs to: "Today", "Yesterday", "Previous 7 days", "March", "March 2024"
 * @param {string} iso
 */
export function dayGroup(iso, now = new Date()) {
  const when = new Date(iso);
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.ceil((midnight.getTime() - when.getTime()) / DAY);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= 7) return "Previous 7 days";
  if (days <= 30) return "Previous 30 days";
  const year = when.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return when.toLocaleDateString("en", { month: "long", year });
}

/**
 * The time of today, else the day.
 * @param {string} iso
 */
export function shortDate(iso, now = new Date()) {
  const when = new Date(iso);
  if (when.toDateString() === now.toDateString()) return clock(iso);
  const year = when.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return when.toLocaleDateString([], { day: "numeric", month: "short", year });
}
