// The colours of code, found in the browser of whoever looks at it, so that no code can hold up anybody else's reply.
//
// Line by line; each line is read once, by one pattern whose alternatives neither nest nor overlap, so that the time grows
// with the text. What reaches over lines (a comment, a long string) is remembered by what ends it. No DOM but in `paint`.

const LONGEST = 20_000; // characters of a block that are coloured
const AT_ONCE = 40_000; // characters that are coloured without waiting for the browser to be idle

const words = (text) => new Set(text.split(" "));

const C_LIKE = words(
  "abstract as async await break case catch class const constexpr continue def default defer delete do else enum export extends extern final finally fn for foreach from func function go goto guard if implements import in inline instanceof interface internal is let loop match mod module mut namespace new of operator out override package private protected pub public readonly ref return select sealed self sizeof static struct super switch template this throw throws trait try type typedef typename typeof union unsafe use using val var virtual volatile when where while with yield",
);
const TYPES = words(
  "any auto bool boolean byte char char16_t decimal double f32 f64 float i8 i16 i32 i64 int int8 int16 int32 int64 isize long never number object short signed size_t str string u8 u16 u32 u64 uint uint8 uint16 uint32 uint64 unknown unsigned usize void",
);
const PYTHON = words(
  "and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield",
);
const BUILTINS = words(
  "abs all any bool bytes dict enumerate filter float int isinstance len list map max min object open print range repr reversed self set sorted str sum super tuple type zip",
);
const SHELL = words(
  "alias case do done elif else esac export fi for function if in local read return set shift source then unset until while cd echo exit sudo",
);
const SQL = words(
  "add all alter and as asc begin between by case check column commit constraint create cross default delete desc distinct drop else end exists foreign from full group having if in index inner insert into is join key left like limit not null offset on or order outer primary references right rollback select set table then transaction union unique update using values view when where with",
);
const RUBY = words(
  "alias and begin break case class def do else elsif end ensure false for if in local module next nil not or function redo repeat rescue retry return self super then true undef unless until when while yield",
);
const CONSTANTS = words("true false null undefined nil None True False NULL NaN Infinity");

// `line`: what begins a comment; `long`: what begins and ends what may reach over lines, and its colour; `keys`: a word before
// one of these is a key.
const C = { keywords: C_LIKE, builtins: TYPES, line: "//", long: [["/*", "*/", "c"]] };
const SCRIPT = { ...C, long: [...C.long, ["`", "`", "s"]] };
const HASHED = { keywords: new Set(), builtins: new Set(), line: "#", long: [] };
const KINDS = {
  c: C,
  script: SCRIPT,
  python: { keywords: PYTHON, builtins: BUILTINS, line: "#", long: [['"""', '"""', "s"], ["'''", "'''", "s"]] },
  shell: { ...HASHED, keywords: SHELL, spaced: true },
  sql: { keywords: SQL, builtins: TYPES, line: "--", long: [["/*", "*/", "c"]], caseless: true },
  ruby: { ...HASHED, keywords: RUBY },
  lua: { ...HASHED, keywords: RUBY, line: "--", long: [["--[[", "]]", "c"], ["[[", "]]", "s"]] },
  json: { ...HASHED, line: "//", keys: ":" },
  settings: { ...HASHED, keys: ":=", spaced: true },
  css: { ...HASHED, line: "", long: [["/*", "*/", "c"]], keys: ":" },
  markup: { ...HASHED, line: "", long: [["<!--", "-->", "c"]], keys: "=", markup: true },
  diff: { diff: true },
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
const LANGUAGES = new Map(Object.entries(NAMES).flatMap(([kind, names]) => names.split(" ").map((name) => [name, KINDS[kind]])));

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The pattern of a language: what begins a long piece, a comment to the end of the line, a string, a number, a word. */
function pattern(language) {
  if (language.pattern) return language.pattern;
  const long = language.long.map(([begin]) => escaped(begin)).join("|") || "(?!)";
  const comment = language.line ? `${language.spaced ? "(?<![^\\s])" : ""}${escaped(language.line)}.*` : "(?!)";
  const string = language.markup ? '"[^"]*"?' : "\"(?:[^\"\\\\]|\\\\.)*\"?|'(?:[^'\\\\]|\\\\.)*'?";
  const number = "\\b\\d[\\w.]*";
  const word = language.markup ? "</?[\\w:-]+|[\\w:-]+" : language.keys ? "[\\p{L}_$@-][\\p{L}\\d_$.-]*" : "[\\p{L}_$@][\\p{L}\\d_$]*";
  language.pattern = new RegExp(`(${long})|(${comment})|(${string})|(${number})|(${word})`, "gu");
  return language.pattern;
}

/** What `language` (as a fence names it) is to colour(); undefined where it is not known. */
export const known = (language) => LANGUAGES.get((language ?? "").toLowerCase());

/**
 * Colour one line. `open`: what the line before left open, null at first.
 * Returns {pieces: [[class or "", text], …], open}.
 */
export function colour(line, language, open = null) {
  if (language.diff) return { pieces: [[diffClass(line), line]], open: null };
  const pieces = [];
  let at = 0;
  const add = (kind, end) => {
    if (end > at) {
      const before = pieces.at(-1);
      if (before?.[0] === kind) before[1] += line.slice(at, end);
      else pieces.push([kind, line.slice(at, end)]);
    }
    at = end;
  };
  const close = (from) => {
    const end = line.indexOf(open[0], from);
    add(open[1], end < 0 ? line.length : end + open[0].length);
    if (end >= 0) open = null;
  };
  if (open) close(0);
  const find = pattern(language);
  for (find.lastIndex = at; at < line.length && !open; ) {
    const match = find.exec(line);
    if (!match) break;
    add("", match.index);
    if (match[1] !== undefined) {
      const [, end, kind] = language.long.find(([begin]) => begin === match[1]);
      open = [end, kind];
      close(match.index + match[1].length);
    } else add(kindOf(match, line, language), match.index + match[0].length);
    find.lastIndex = at;
  }
  add("", line.length);
  return { pieces, open };
}

function kindOf(match, line, language) {
  const [text, , comment, string, number] = match;
  if (comment !== undefined) return "c";
  const end = match.index + text.length;
  const next = line[end] === " " ? line[end + 1] : line[end];
  const key = next !== undefined && (language.keys ?? "").includes(next);
  if (string !== undefined) return key ? "a" : "s";
  if (number !== undefined) return "m";
  if (language.markup) return text.startsWith("<") ? "k" : key ? "a" : "";
  if (language.keywords.has(language.caseless ? text.toLowerCase() : text)) return "k";
  if (CONSTANTS.has(text)) return "m";
  if (key) return "a";
  if (language.builtins.has(text)) return "b";
  return next === "(" && !language.keys ? "f" : "";
}

function diffClass(line) {
  if (/^(?:@@|diff |index |---|\+\+\+)/.test(line)) return "h";
  return line.startsWith("+") ? "added" : line.startsWith("-") ? "gone" : "";
}

/** The nodes of a coloured line. */
export const nodes = (pieces) =>
  pieces.map(([kind, text]) => {
    if (!kind) return document.createTextNode(text);
    const span = document.createElement("span");
    span.className = kind;
    span.append(text);
    return span;
  });

function paintOne(code) {
  const language = known(code.dataset.language);
  const lines = code.textContent.slice(0, LONGEST).split("\n");
  const rest = code.textContent.slice(LONGEST);
  const painted = document.createDocumentFragment();
  let open = null;
  lines.forEach((line, number) => {
    const found = colour(line, language, open);
    open = found.open;
    painted.append(...nodes(found.pieces), number < lines.length - 1 ? "\n" : "");
  });
  painted.append(rest);
  code.replaceChildren(painted);
  code.normalize();
}

const waiting = [];
let spent = 0;
const later = globalThis.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 10 }), 30));

function work(deadline) {
  spent = 0;
  do {
    const code = waiting.shift();
    if (code?.isConnected) paintOne(code);
  } while (waiting.length && deadline.timeRemaining() > 4);
  if (waiting.length) later(work);
}

/** Colour the code within `elements`: at once, or when the browser is idle where that is much. */
export function paint(elements) {
  for (const element of elements) {
    for (const code of element.querySelectorAll("code[data-language]")) {
      if (!known(code.dataset.language)) continue;
      if (!spent && !waiting.length) setTimeout(() => (spent = 0));
      spent += Math.min(code.textContent.length, LONGEST);
      if (spent < AT_ONCE && !waiting.length) paintOne(code);
      else if (waiting.push(code) === 1) later(work);
    }
  }
}

/** Colours for code that is still being written: as `colour`, until it is too long to be coloured in the end. */
export class Painter {
  constructor(language) {
    this.language = known(language);
    this.room = LONGEST;
    this.open = null;
  }

  /** The nodes of the next whole line. */
  line(text) {
    this.room -= text.length + 1;
    if (!this.language || this.room < 0) return [document.createTextNode(`${text}\n`)];
    const found = colour(text, this.language, this.open);
    this.open = found.open;
    return [...nodes(found.pieces), document.createTextNode("\n")];
  }
}
