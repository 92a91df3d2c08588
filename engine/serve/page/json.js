// JSON as it was written: numbers keep their digits (JavaScript's own would round them), members their order,
// and what occurs twice stays twice.

/** How deep values may lie in each other to be shown in lines of their own. */
const DEEPEST = 400;

/** Lists of plain values up to this length stay in one line. */
const SHORT = 60;

const SIGNS = "{}[],:";
const BLANK = /[ \t\r\n]*/y;
const WORD = /[^ \t\r\n{}[\],:"]+/y;

/** The next token of JSON from `at` on: where it ends, and what it is, if it is anything. Null at the end. */
function token(text, at) {
  BLANK.lastIndex = at;
  BLANK.exec(text);
  const start = BLANK.lastIndex;
  const first = text[start];
  if (first === undefined) return null;
  if (SIGNS.includes(first)) return { end: start + 1, sign: first };
  if (first === '"') {
    const end = stringEnd(text, start);
    return end === null ? { end: text.length } : { end, string: text.slice(start, end) };
  }
  WORD.lastIndex = start;
  WORD.exec(text);
  return { end: WORD.lastIndex, word: text.slice(start, WORD.lastIndex) };
}

/**
 * Where the string ends that begins at `start`. A regular expression would need room for each of its
 * characters.
 */
function stringEnd(text, start) {
  for (let at = start + 1; ;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return null;
    let slashes = 0;
    while (text[quote - 1 - slashes] === "\\") slashes += 1;
    at = quote + 1;
    if (slashes % 2 === 0) return at;
  }
}

/**
 * Reads JSON. A value is `{ kind: "object", members: [[name, value], …] }`, `{ kind: "array", items: […] }`
 * or `{ kind: "plain", text }`; a member's name and a plain value's text are JSON. Null where it is not JSON,
 * or too deep.
 */
export function read(text) {
  const open = [];
  let at = 0;
  let root = null;
  let name = null;
  let wanted = "value";
  const place = (value) => {
    const parent = open.at(-1);
    if (!parent) root = value;
    else if (parent.kind === "array") parent.items.push(value);
    else parent.members.push([name, value]);
    wanted = parent ? "comma" : "end";
  };
  for (;;) {
    const found = token(text, at);
    if (!found) return wanted === "end" && root ? root : null;
    const { sign, string, word } = found;
    at = found.end;
    const parent = open.at(-1);
    const closes = sign === "}" ? "object" : sign === "]" ? "array" : null;
    if (closes) {
      // An empty one, or one after a value.
      const may =
        wanted === "comma" || wanted === "first" || (wanted === "value" && parent?.items?.length === 0);
      if (parent?.kind !== closes || !may) return null;
      open.pop();
      wanted = open.length > 0 ? "comma" : "end";
    } else if (wanted === "comma") {
      if (sign !== ",") return null;
      wanted = parent.kind === "object" ? "name" : "value";
    } else if (wanted === "name" || wanted === "first") {
      if (string === undefined) return null;
      name = string;
      wanted = "colon";
    } else if (wanted === "colon") {
      if (sign !== ":") return null;
      wanted = "value";
    } else if (wanted === "end") {
      return null;
    } else if (sign === "{" || sign === "[") {
      const value = sign === "{" ? { kind: "object", members: [] } : { kind: "array", items: [] };
      place(value);
      open.push(value);
      if (open.length > DEEPEST) return null;
      wanted = sign === "{" ? "first" : "value";
    } else if (string !== undefined || word !== undefined) {
      place({ kind: "plain", text: string ?? word });
    } else {
      return null;
    }
  }
}

/** A member of an object; undefined where it is not there. The last one counts, as in CouchDB. */
export function member(value, name) {
  const key = JSON.stringify(name);
  return value?.members?.findLast(([its]) => its === key)?.[1];
}

/** An object without some of its members. */
export function without(value, names) {
  if (value.kind !== "object") return value;
  const keys = new Set(names.map((name) => JSON.stringify(name)));
  return { kind: "object", members: value.members.filter(([name]) => !keys.has(name)) };
}

/** A list of plain values that is short enough for one line, as that line; else null. */
export function short(value) {
  if (value.kind === "object") return value.members.length === 0 ? "{}" : null;
  if (value.kind === "plain") return value.text;
  let length = 0;
  for (const item of value.items) {
    if (item.kind !== "plain") return null;
    length += item.text.length + 2;
    if (length > SHORT) return null;
  }
  return `[${value.items.map((item) => item.text).join(", ")}]`;
}

/**
 * A value in lines: each is told its depth, its member's name (JSON, or null), what comes then, and whether
 * another value follows.
 */
export function lines(value, tell, depth = 0, name = null, more = false) {
  const line = short(value);
  if (line !== null) {
    tell(depth, name, line, more);
    return;
  }
  const inner = value.kind === "object" ? value.members : value.items.map((item) => [null, item]);
  const [start, end] = value.kind === "object" ? "{}" : "[]";
  tell(depth, name, start, false);
  inner.forEach(([its, item], at) => lines(item, tell, depth + 1, its, at + 1 < inner.length));
  tell(depth, null, end, more);
}

/** A value as text in lines. */
export function text(value) {
  const out = [];
  lines(value, (depth, name, rest, more) => {
    out.push("  ".repeat(depth), name === null ? "" : `${name}: `, rest, more ? ",\n" : "\n");
  });
  return out.join("").trimEnd();
}
