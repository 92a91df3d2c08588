// Two versions of a document: of two archives, or two revisions of one.

import { backups, Refused, resolve, stamp } from "./api.js";
import { bytes, code, count, h, heading, link, named, number, unseen } from "./dom.js";
import { differences } from "./diff.js";
import { cut, memberName } from "./pretty.js";
import * as revisions from "./revisions.js";
import * as route from "./route.js";
import { attachmentChanges } from "./versions.js";
import { moment } from "./view-archives.js";

/** So many equal lines stay around a difference; of those between, at least so many are folded. */
const AROUND = 3;
const FEWEST = 5;
/** So many lines are shown at once. */
const LINES = 2000;
/** So many backups of a repository are there to choose from, around the one that is chosen. */
const BACKUPS = 40;

/** One side: what it has of the document, or why it has nothing. */
async function side(archive, name, id, rev, signal) {
  try {
    return { archive, shown: await revisions.load(archive.database(name), id, rev, signal) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { archive, shown: null, error };
  }
}

/** What of two texts differs: their common beginning and end are left out. */
function marked(text, other) {
  if (other === undefined || text.length > 10_000) return cut(text);
  const [long, least] = [text, Math.min(text.length, other.length)];
  let start = 0;
  while (start < least && long[start] === other[start]) start += 1;
  let end = 0;
  while (end < least - start && long.at(-1 - end) === other.at(-1 - end)) end += 1;
  // Not through the middle of a character.
  if (/[\ud800-\udbff]/.test(long[start - 1] ?? "")) start -= 1;
  if (/[\udc00-\udfff]/.test(long.at(-end) ?? "")) end -= 1;
  const middle = text.slice(start, text.length - end);
  // Where most is new, marking says nothing.
  if (middle === "" || start + end < Math.max(text.length, other.length) / 3) return cut(text);
  return [text.slice(0, start), h("b", null, cut(middle)), end > 0 ? text.slice(-end) : ""].map((part) =>
    typeof part === "string" ? cut(part) : part,
  );
}

const SIGNS = {
  " ": { kind: "same", tag: "span", sign: " ", word: "" },
  "-": { kind: "gone", tag: "del", sign: "−", word: "only in A: " },
  "+": { kind: "come", tag: "ins", sign: "+", word: "only in B: " },
};

function lineItem({ sign, depth, name, text, other }) {
  const { kind, tag, sign: shown, word } = SIGNS[sign];
  const content = h(tag, null, memberName(name), marked(text, other));
  const item = h(
    "li",
    { class: kind },
    h("span", { class: "sign", "aria-hidden": "true" }, shown),
    word && unseen(word),
    content,
  );
  item.style.setProperty("--depth", depth);
  return item;
}

/** Rows of lines: `{ isFolded, lines }`. */
function folded(lines) {
  const near = new Uint8Array(lines.length);
  lines.forEach(({ sign }, at) => {
    if (sign === " ") return;
    near.fill(1, Math.max(0, at - AROUND), at + AROUND + 1);
  });
  const rows = [];
  lines.forEach((line, at) => {
    const isFolded = near[at] === 0;
    if (rows.at(-1)?.isFolded !== isFolded) rows.push({ isFolded, lines: [] });
    rows.at(-1).lines.push(line);
  });
  return rows.map((row) => ({ ...row, isFolded: row.isFolded && row.lines.length >= FEWEST }));
}

/** Puts lines in place of an item that stands for them, some at a time. */
function unfold(item, lines) {
  const shown = lines.slice(0, LINES).map(lineItem);
  const rest = lines.slice(LINES);
  item.replaceWith(...shown, ...(rest.length > 0 ? [foldItem(rest, "more lines")] : []));
  shown[0].tabIndex = -1;
  shown[0].focus();
}

function foldItem(lines, what) {
  const item = h("li", { class: "fold" });
  item.append(
    h(
      "button",
      { type: "button", onclick: () => unfold(item, lines) },
      `Show ${number(lines.length)} ${what}`,
    ),
  );
  return item;
}

function differenceList(lines) {
  const items = [];
  let left = LINES;
  const rows = folded(lines);
  for (const [at, { isFolded, lines: its }] of rows.entries()) {
    if (isFolded) {
      items.push(foldItem(its, "equal lines"));
    } else if (its.length <= left) {
      items.push(...its.map(lineItem));
      left -= its.length;
    } else {
      items.push(...its.slice(0, left).map(lineItem));
      items.push(
        foldItem([its.slice(left), ...rows.slice(at + 1).map((row) => row.lines)].flat(), "more lines"),
      );
      break;
    }
  }
  return h("ol", { class: "diff", "aria-label": "Differences" }, items);
}

/** How the two revisions are related. */
function relation(a, b) {
  if (a.rev === b.rev) return "Both are the same revision.";
  const steps = (newer, older) => newer.history.findIndex(({ rev }) => rev === older.rev);
  const [forth, back] = [steps(b, a), steps(a, b)];
  if (forth > 0) return `B was made of A, by ${count(forth, "change")}.`;
  if (back > 0) return `A was made of B, by ${count(back, "change")}.`;
  const common = a.history.find(({ rev }) => b.history.some((its) => its.rev === rev));
  return common
    ? ["Both were made of ", code(common.rev), ", and then changed apart."]
    : "Neither was made of the other.";
}

function summary(a, b) {
  const absent = (letter, its) =>
    !its.shown &&
    h(
      "p",
      null,
      h("strong", null, `${letter}: `),
      named(its.archive.name),
      its.error instanceof revisions.NotKept
        ? " has the document, but not the body of this revision."
        : its.error.isMissing
          ? " does not have it."
          : [" could not be read: ", named(its.error.reason)],
    );
  if (!a.shown || !b.shown) return h("div", { class: "notice" }, absent("A", a), absent("B", b));
  return !a.shown.isLocal && h("p", null, relation(a.shown, b.shown));
}

/** Revisions of a side to choose from: the winning one, and what else is there. */
function revisionField(letter, shown, rev) {
  const name = `${letter.toLowerCase()}rev`;
  const options = [["", shown ? `winning: ${shown.winner}` : "winning"]];
  const add = (note, revs) =>
    revs.forEach((its) => its !== shown.winner && options.push([its, `${note}: ${its}`]));
  if (shown) {
    add("conflict", shown.conflicts);
    add("deleted", shown.deleted);
    const listed = new Set(options.map(([value]) => value));
    add(
      "older",
      shown.history.filter((its) => its.isKept && !listed.has(its.rev)).map((its) => its.rev),
    );
  }
  if (rev && !options.some(([value]) => value === rev)) options.push([rev, rev]);
  return h(
    "p",
    null,
    h("label", { for: name }, "Revision"),
    h(
      "select",
      { id: name, name },
      options.map(([value, text]) => h("option", { value, selected: value === (rev ?? "") }, text)),
    ),
  );
}

/** What a side can be chosen from: archives, and of each repository the backups around the chosen one. */
async function choices(archives, chosen, signal) {
  const isChosen = (its) => its.id === chosen.id && its.series.number === chosen.series.number;
  const option = (its, text) =>
    h("option", { value: its.reference, selected: isChosen(its) && chosen.atSeq === null }, text);
  const state = chosen.atSeq !== null && h("option", { value: chosen.reference, selected: true }, chosen.name);
  const options = archives.map(async (its) => {
    const isOf = chosen.series.number === its.number;
    if (!its.isRepository) return [option(its, its.name), isOf && state];
    const range = { around: isOf ? chosen.id : its.id, limit: BACKUPS };
    const found = (await backups(its, range, signal)).backups;
    // It may have been deleted since.
    const rest = isOf && chosen.atSeq === null && !found.some(isChosen) && option(chosen, chosen.name);
    return h(
      "optgroup",
      { label: its.name },
      found.map((backup) => option(backup, stamp(backup.date))),
      rest,
      isOf && state,
    );
  });
  return Promise.all(options);
}

function sideFields(letter, options, shown, rev) {
  const name = letter.toLowerCase();
  return h(
    "fieldset",
    null,
    h("legend", null, letter),
    h(
      "p",
      null,
      h("label", { for: name }, "Archive"),
      h("select", { id: name, name }, options),
    ),
    revisionField(letter, shown, rev),
  );
}

/** The fields that choose what is compared. Only the button compares. */
function form({ name, id, a, b, options }) {
  const text = (its, label, value) =>
    h(
      "p",
      null,
      h("label", { for: its }, label),
      h("input", {
        id: its,
        name: its,
        value,
        required: true,
        autocomplete: "off",
        autocapitalize: "none",
        spellcheck: "false",
      }),
    );
  const made = h(
    "form",
    { class: "compare" },
    h("div", { class: "what" }, text("db", "Database", name), text("doc", "Document", id)),
    h(
      "div",
      { class: "sides" },
      sideFields("A", a.choices, a.shown, options.arev),
      sideFields("B", b.choices, b.shown, options.brev),
    ),
    h("p", { class: "actions" }, h("button", { class: "main" }, "Compare")),
  );
  const value = (its) => made.elements[its].value;
  const was = { a: value("a"), b: value("b") };
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    // Revisions of another archive or document than those that are listed mean nothing.
    const isSame = value("db") === name && value("doc") === id;
    const rev = (its) => (isSame && value(its) === was[its] ? value(`${its}rev`) : null);
    const detail = route.compare(value("db"), value("doc"), {
      a: value("a"),
      b: value("b"),
      arev: rev("a"),
      brev: rev("b"),
    });
    dispatchEvent(new CustomEvent("couchcopy:go", { detail }));
  });
  return made;
}

function outcome(lines) {
  const gone = lines.filter(({ sign }) => sign === "-").length;
  const come = lines.filter(({ sign }) => sign === "+").length;
  const words =
    gone + come === 0
      ? "No differences"
      : `${count(gone, "line")} only in A, ${count(come, "line")} only in B`;
  return { words, list: gone + come > 0 && differenceList(lines) };
}

function result(id, name, a, b) {
  const heading = h("h2", { id: "result", tabindex: "-1" }, "Differences");
  const at = (letter, sign, { archive, shown }) =>
    h(
      "li",
      { class: SIGNS[sign].kind },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[sign].sign),
      h("strong", null, letter),
      " ",
      shown
        ? link(
            route.document(archive, name, id, { rev: shown.rev === shown.winner ? null : shown.rev }),
            named(archive.name),
          )
        : named(archive.name),
      archive.date && !archive.repository && [", ", moment(archive.date)],
      shown && [", ", code(shown.rev)],
      shown?.isDeleted && ", deleted",
    );
  const top = [heading, h("ul", { class: "legend" }, at("A", "-", a), at("B", "+", b)), summary(a, b)];
  const unreadable = [a, b].some(({ shown, error }) =>
    shown ? !shown.value : !error.isMissing || error instanceof revisions.NotKept,
  );
  if (unreadable || (!a.shown && !b.shown))
    return h("section", { class: "result", "aria-labelledby": "result" }, top);
  const { words, list } = outcome(differences(a.shown?.value ?? null, b.shown?.value ?? null));
  return h(
    "section",
    { class: "result", "aria-labelledby": "result" },
    top,
    h("p", null, words),
    list,
    attachmentsList(name, id, a, b),
  );
}

const CHANGES = {
  same: ["same", " ", "is the same"],
  removed: ["gone", "−", "only in A"],
  new: ["come", "+", "only in B"],
  changed: ["", "±", "differs"],
};

/** What is attached to either version, to be downloaded. */
function attachmentsList(name, id, a, b) {
  const changes = attachmentChanges(a.shown?.attachments, b.shown?.attachments);
  if (changes.length === 0) return null;
  const download = (letter, { archive, shown }, attachment) => {
    const url = attachment && archive.database(name).attachmentUrl(id, attachment.name, shown.rev);
    if (!url) return null;
    const label = `Download ${attachment.name} of ${letter}`;
    const size = typeof attachment.length === "number" && ` (${bytes(attachment.length)})`;
    return [" ", h("a", { href: url, download: attachment.name, "aria-label": label }, letter), size];
  };
  const item = ({ name: file, was, now, change }) => {
    const [kind, sign, words] = CHANGES[change];
    return h(
      "li",
      { class: kind },
      h("span", { class: "sign", "aria-hidden": "true" }, sign),
      named(file),
      ` ${words}. Download`,
      download("A", a, was),
      download("B", b, now),
    );
  };
  return [
    h("h3", { id: "attachments" }, "Attachments"),
    h("ul", { class: "legend", "aria-labelledby": "attachments" }, changes.map(item)),
  ];
}

/** The view. */
export async function compareView(archives, parts, options, signal) {
  const [name = "", ...rest] = parts.slice(1);
  const id = rest.join("/");
  const archive = async (reference, at) =>
    (reference && (await resolve(archives, reference, signal))) || (archives[at] ?? archives[0]);
  const [from, to] = await Promise.all([archive(options.a, 0), archive(options.b, 1)]);
  const isChosen = name !== "" && id !== "";
  const [a, b] = isChosen
    ? await Promise.all([
        side(from, name, id, options.arev, signal),
        side(to, name, id, options.brev, signal),
      ])
    : [
        { archive: from, shown: null },
        { archive: to, shown: null },
      ];
  [a.choices, b.choices] = await Promise.all([
    choices(archives, from, signal),
    choices(archives, to, signal),
  ]);
  const view = {
    title: isChosen ? id : null,
    focus: isChosen ? "result" : null,
    content: [
      h(
        "header",
        { class: "page" },
        h("p", { class: "kind" }, "Compare"),
        heading(isChosen ? id : "Two versions of a document"),
      ),
      form({ name, id, a, b, options }),
    ],
  };
  if (isChosen) view.content.push(result(id, name, a, b));
  return view;
}
