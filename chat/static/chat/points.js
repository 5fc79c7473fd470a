// @ts-check
// The server counts characters (code points), JavaScript counts UTF-16 units: an emoji is one there and two here.

const PAIRS = /[\ud800-\udbff][\udc00-\udfff]/g;

/**
 * How many code points `text` has.
 * @param {string} text
 */
export function points(text) {
  const pairs = text.match(PAIRS);
  return pairs ? text.length - pairs.length : text.length;
}

/**
 * The index, in units, of the `count`-th code point behind index `from`.
 * @param {string} text
 * @param {number} from
 * @param {number} count
 */
export function advance(text, from, count) {
  let at = from;
  for (let left = count; left > 0 && at < text.length; left -= 1) {
    at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }
  return at;
}
