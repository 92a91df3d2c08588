// Makes elements. Whatever comes out of a backup becomes text, never markup.

// Characters that would change how what stands beside them looks, or that cannot be seen: controls, marks
// that turn the direction of text, and halves of characters.
export const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]|\p{Cs}/u;
const ALL_UNSEEN = new RegExp(UNSEEN.source, "gu");

/**
 * An element. Of its attributes, those that begin with "on" are listeners; null, undefined and false are left
 * out. Children are nodes, texts, lists of them, or nothing.
 */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  fill(element, children);
  return element;
}

/** Puts children at the end of an element. */
export function fill(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Text with what cannot be seen in it spelt as JSON would: `\u202e`. */
export function spelt(text) {
  return UNSEEN.test(text) ? text.replaceAll(ALL_UNSEEN, escape) : text;
}

function escape(character) {
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}

/** A name out of a backup, as an element of its own that looks like what it is. */
export function named(text) {
  const name = h("bdi", { class: "name" });
  let rest = text;
  // Blanks at either end would go unseen as well.
  const [, before, middle, after] = /^( *)(.*?)( *)$/su.exec(rest);
  const spell = (part) => part && name.append(h("span", { class: "unseen" }, part));
  spell("\\u0020".repeat(before.length));
  rest = middle;
  while (rest) {
    const found = UNSEEN.exec(rest);
    name.append(rest.slice(0, found?.index ?? rest.length));
    if (!found) break;
    spell(escape(found[0]));
    rest = rest.slice(found.index + found[0].length);
  }
  spell("\\u0020".repeat(after.length));
  return name;
}

/** A revision or another technical name. */
export function code(text) {
  return h("code", null, named(text));
}

/** A link inside the page. */
export function link(href, ...children) {
  return h("a", { href }, ...children);
}

/** Text for those who listen only. */
export function unseen(text) {
  return h("span", { class: "hidden" }, text);
}

/** So long may a name be to be set large. */
const LARGE = 60;

/** The heading of a view; it gets the focus when the view is shown. */
export function heading(text) {
  return h("h1", { tabindex: "-1", class: text.length > LARGE && "long" }, named(text));
}

/** One fact after the other, in a line; those that are not known are left out. */
export function facts(...items) {
  const shown = items.filter((item) => item !== null && item !== undefined && item !== false && item !== "");
  return h(
    "ul",
    { class: "facts" },
    shown.map((item) => h("li", null, item)),
  );
}

/** Tells those who listen whether an element still waits for what it is to show. */
export function busy(element, isBusy) {
  element.setAttribute("aria-busy", String(isBusy));
}

/** Tells those who listen what has changed. */
export function tell(text) {
  document.getElementById("status").textContent = text;
}

/** A number with its digits in groups. */
export function number(value) {
  return value.toLocaleString("en");
}

/** A count of things: `1 document`, `2,000 documents`. */
export function count(value, one, many = one + "s") {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** A size in bytes for people. */
export function bytes(value) {
  if (value < 1024) return count(value, "byte");
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = value / 1024;
  while (size >= 1023.95 && units.length > 1) {
    size /= 1024;
    units.shift();
  }
  return `${size.toFixed(size < 99.95 ? 1 : 0)} ${units[0]}`;
}
