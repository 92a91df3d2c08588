// Commands of couchcopy that a shell takes as they are.

import { UNSEEN } from "./dom.js";

/** Arguments that mean nothing else to any shell. A `=` at the beginning means something to zsh. */
const PLAIN = /^[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*$/;

/**
 * An argument in quotes, where it needs them; null where no argument can hold it. What cannot be seen, or what a
 * terminal would take for a key that was pressed, is spelt within `$'…'`, which bash, zsh and ksh read.
 */
export function quote(text) {
  if (text.includes("\0")) return null;
  if (PLAIN.test(text)) return text;
  if (!UNSEEN.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const spelt = [...text].map((character) => {
    if (character === "'" || character === "\\") return "\\" + character;
    return UNSEEN.test(character) ? octal(character) : character;
  });
  return `$'${spelt.join("")}'`;
}

function octal(character) {
  const bytes = [...new TextEncoder().encode(character)];
  return bytes.map((byte) => "\\" + byte.toString(8).padStart(3, "0")).join("");
}

/** A command out of its arguments; null where one of them fits into none. */
export function command(...words) {
  const quoted = words.flat().map(quote);
  return quoted.includes(null) ? null : quoted.join(" ");
}

/** Arguments that are no options, whatever they begin with. */
function operands(...words) {
  return words.some((word) => word.startsWith("-")) ? ["--", ...words] : words;
}

/** Prints a revision of a document, or one of its attachments; null where no command can. */
export function get({ location, flags }, db, id, rev, attachment) {
  if (location === null) return null;
  const options = [rev && `--rev=${rev}`, attachment !== undefined && `--attachment=${attachment}`];
  return command("couchcopy", "get", flags, options.filter(Boolean), operands(location, db, id));
}

/** Makes a document in a cluster what it was, by an edit on top; null where no command can. */
export function bringBack({ location, flags }, atSeq, db, id, node) {
  if (location === null) return null;
  const moment = atSeq ? [`--at-seq=${atSeq}`] : [];
  return command(
    "couchcopy",
    "restore",
    flags,
    `--db=${db}`,
    "--rewind",
    `--doc=${id}`,
    moment,
    operands(location, node),
  );
}
