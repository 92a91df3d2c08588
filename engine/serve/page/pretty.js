// Shows JSON in lines.

import { h, number, spelt } from "./dom.js";
import { lines, read } from "./json.js";

/** So many lines are shown at once; more on demand. */
const LINES = 2000;
/** Of more lines than this, no parts are told apart: each part is an element. */
const PLAIN = 20_000;
/** So much of a text is shown at once, where it is longer than that by far. */
const LONG = 4000;

/** A plain value or its brackets, told apart by what it is. */
export function token(text) {
  const kind = text.startsWith('"')
    ? "string"
    : /^-?\d/.test(text)
      ? "digits"
      : /^[a-z]/.test(text)
        ? "word"
        : null;
  return h("span", { class: kind }, cut(text));
}

/** A member's name. */
export function memberName(name) {
  return name === null ? null : [h("span", { class: "member" }, spelt(name)), ": "];
}

/** A text, or its beginning where it is very long, with a button for the rest. */
export function cut(text) {
  if (text.length <= LONG * 2) return spelt(text);
  const rest = text.slice(LONG);
  const button = h("button", { type: "button", class: "more" }, `… ${number(rest.length)} more characters`);
  button.addEventListener("click", () => button.replaceWith(spelt(rest)));
  return [spelt(text.slice(0, LONG)), button];
}

function line({ depth, name, text, more }) {
  return ["  ".repeat(depth), memberName(name), token(text), more ? ",\n" : "\n"];
}

function plainLine({ depth, name, text, more }) {
  return `${"  ".repeat(depth)}${name === null ? "" : spelt(name) + ": "}${spelt(text)}${more ? "," : ""}\n`;
}

/** JSON, given as text or as `json.read` has it. What cannot be read is shown as it is. */
export function pretty(value) {
  const tree = typeof value === "string" ? read(value) : value;
  if (!tree) return h("pre", { class: "json" }, h("code", null, cut(value)));
  const all = [];
  lines(tree, (depth, name, text, more) => all.push({ depth, name, text, more }));
  const code = h("code", null, all.slice(0, LINES).map(line));
  const pre = h("pre", { class: "json" }, code);
  if (all.length <= LINES) return pre;
  const rest = all.slice(LINES);
  const button = h("button", { type: "button" }, `Show ${number(rest.length)} more lines`);
  button.addEventListener("click", () => {
    button.remove();
    // Where reading goes on.
    const next = h("span", { tabindex: "-1" });
    code.append(next);
    if (rest.length <= PLAIN)
      code.append(
        ...rest
          .flatMap(line)
          .flat(Infinity)
          .filter((part) => part !== null),
      );
    else code.append(rest.map(plainLine).join(""));
    next.focus({ preventScroll: true });
  });
  return h("div", null, pre, button);
}
