// @ts-check
// The languages whose code is coloured, by the names that fences give them.

/**
 * How code of a language is coloured.
 * @typedef {object} Language
 * @property {Set<string>} keywords
 * @property {Set<string>} builtins
 * @property {string} line what begins a comment
 * @property {[begin: string, end: string, kind: string][]} long what may reach over lines, and its colour
 * @property {string} [keys] a word before one of these is a key
 * @property {boolean} [spaced] a comment begins only behind a space
 * @property {boolean} [caseless]
 * @property {boolean} [markup]
 * @property {boolean} [diff]
 * @property {RegExp} [pattern] made when it is first needed
 */

/** @param {string} text */
const words = (text) => new Set(text.trim().split(/\s+/));

const C_LIKE = words(`
  abstract as async await break case catch class const constexpr continue def default defer delete do
  else enum export extends extern final finally fn for foreach from func function go goto guard if
  implements import in inline instanceof interface internal is let loop match mod module mut namespace
  new of operator out override package private protected pub public readonly ref return select sealed
  self sizeof static struct super switch template this throw throws trait try type typedef typename
  typeof union unsafe use using val var virtual volatile when where while with yield
`);
const TYPES = words(`
  any auto bool boolean byte char char16_t decimal double f32 f64 float i8 i16 i32 i64 int int8 int16
  int32 int64 isize long never number object short signed size_t str string u8 u16 u32 u64 uint uint8
  uint16 uint32 uint64 unknown unsigned usize void
`);
const PYTHON = words(`
  and as assert async await break case class continue def del elif else except finally for from global
  if import in is lambda match nonlocal not or pass raise return try while with yield
`);
const BUILTINS = words(`
  abs all any bool bytes dict enumerate filter float int isinstance len list map max min object open
  print range repr reversed self set sorted str sum super tuple type zip
`);
const SHELL = words(`
  alias case do done elif else esac export fi for function if in local read return set shift source
  then unset until while cd echo exit sudo
`);
const SQL = words(`
  add all alter and as asc begin between by case check column commit constraint create cross default
  delete desc distinct drop else end exists foreign from full group having if in index inner insert
  into is join key left like limit not null offset on or order outer primary references right rollback
  select set table then transaction union unique update using values view when where with
`);
const RUBY = words(`
  alias and begin break case class def do else elsif end ensure false for if in local module next nil
  not or function redo repeat rescue retry return self super then true undef unless until when while
  yield
`);
export const CONSTANTS = words("true false null undefined nil None True False NULL NaN Infinity");

/** @type {Language} */
const C = { keywords: C_LIKE, builtins: TYPES, line: "//", long: [["/*", "*/", "c"]] };
/** @type {Language} */
const SCRIPT = { ...C, long: [...C.long, ["`", "`", "s"]] };
/** @type {Language} */
const HASHED = { keywords: new Set(), builtins: new Set(), line: "#", long: [] };
/** @type {Record<string, Language>} */
const KINDS = {
  c: C,
  script: SCRIPT,
  python: {
    keywords: PYTHON,
    builtins: BUILTINS,
    line: "#",
    long: [
      ['"""', '"""', "s"],
      ["'''", "'''", "s"],
    ],
  },
  shell: { ...HASHED, keywords: SHELL, spaced: true },
  sql: { keywords: SQL, builtins: TYPES, line: "--", long: [["/*", "*/", "c"]], caseless: true },
  ruby: { ...HASHED, keywords: RUBY },
  lua: {
    ...HASHED,
    keywords: RUBY,
    line: "--",
    long: [
      ["--[[", "]]", "c"],
      ["[[", "]]", "s"],
    ],
  },
  json: { ...HASHED, line: "//", keys: ":" },
  settings: { ...HASHED, keys: ":=", spaced: true },
  css: { ...HASHED, line: "", long: [["/*", "*/", "c"]], keys: ":" },
  markup: { ...HASHED, line: "", long: [["<!--", "-->", "c"]], keys: "=", markup: true },
  diff: { ...HASHED, diff: true },
};
const NAMES = {
  c: "c c++ cc cpp cs csharp dart go golang groovy h hpp java kotlin kt objc php rs rust scala swift zig",
  script: "javascript js jsx mjs node ts tsx typescript",
  python: "py py3 python python3",
  shell: "bash bat console docker dockerfile fish make makefile powershell ps1 sh shell zsh",
  sql: "mysql pgsql postgresql psql sql sqlite",
  ruby: "elixir ex perl pl r rb ruby",
  lua: "haskell hs lua",
  json: "json json5 jsonc jsonl",
  settings: "cfg conf env hcl ini nginx properties terraform tf toml yaml yml",
  css: "css less scss",
  markup: "html svg vue xhtml xml",
  diff: "diff patch",
};
/** @type {Map<string, Language>} */
export const LANGUAGES = new Map(
  Object.entries(NAMES).flatMap(([kind, names]) => names.split(" ").map((name) => [name, KINDS[kind]])),
);
