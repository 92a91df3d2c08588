// The versions of a document over time, in all backups: what can be read of them, when they were the document, and
// what is attached to them.

import { Database, encode, history, stamp } from "./api.js";
import { busy, bytes, code, count, fill, h, link, named, number, tell, unseen } from "./dom.js";
import { table } from "./finder.js";
import { part } from "./parts.js";
import * as route from "./route.js";
import { none, problem } from "./states.js";

/** Extends the time in which something was seen by an older answer; see `engine/inspect/src/history/revisions.rs`. */
function extend(known, older) {
  const { first, last } = known;
  known.first = older.first.reference
    ? older.first
    : { ...older.first, reference: first.reference, date: first.date };
  if (!last.reference && older.last.reference) {
    known.last = { ...last, reference: older.last.reference, date: older.last.date };
  }
}

/**
 * Puts what an answer says of older backups to what newer ones have said: a new list, the highest generation
 * first.
 */
export function merged(known, older) {
  const versions = new Map(known.map((its) => [its.rev, structuredClone(its)]));
  for (const version of older) {
    const its = versions.get(version.rev);
    if (its === undefined) {
      versions.set(version.rev, structuredClone(version));
      continue;
    }
    extend(its, version);
    if (its.shown && version.shown) {
      if (!its.shown.last.reference && version.shown.last.reference) its.shown.at = version.shown.at;
      extend(its.shown, version.shown);
    } else {
      its.shown ??= version.shown;
    }
  }
  const generation = ({ rev }) => Number.parseInt(rev, 10);
  return [...versions.values()].sort(
    (a, b) => generation(b) - generation(a) || b.last.sequence - a.last.sequence || (a.rev < b.rev ? 1 : -1),
  );
}

/** What became of the attachments from one version to the next: `{ name, was, now, change }`. */
export function attachmentChanges(was, now) {
  const of = (list) => new Map((list ?? []).map((its) => [its.name, its]));
  const [before, after] = [of(was), of(now)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names.map((name) => {
    const [old, fresh] = [before.get(name) ?? null, after.get(name) ?? null];
    const isSame =
      old && fresh && old.digest !== undefined && old.digest === fresh.digest && old.content_type === fresh.content_type;
    const change = !old ? "new" : !fresh ? "removed" : isSame ? "same" : "changed";
    return { name, was: old, now: fresh, change };
  });
}

/** When a state was: as a backup saved it, as its file records it, or by its sequence. */
function seenText({ date, since, reference, sequence }) {
  if (reference) return h("time", { datetime: /Z$/.test(date ?? "") ? date : null }, stamp(date || null));
  return since ? `not before ${stamp(since)}` : `sequence ${number(sequence)}`;
}

function span({ first, last }) {
  const isOne =
    first.reference && last.reference ? first.reference === last.reference : first.sequence === last.sequence;
  return isOne ? seenText(last) : [seenText(first), " to ", seenText(last)];
}

function timeCell(version) {
  if (version.shown) return span(version.shown);
  return [h("span", { class: "note" }, "never the current revision; kept "), span(version)];
}

/** Where a version is shown: in the backup in which it is the document, or where its body is. */
function versionHref(version, name, id) {
  const at = version.shown?.at ?? version.at;
  const rev = version.shown && !version.deleted ? null : version.rev;
  return route.document(at, name, id, { rev });
}

function attachmentsCell(version, previous, name, id) {
  if (version.attachments === null || version.attachments === undefined) return "not listed";
  const changes = attachmentChanges(previous?.attachments, version.attachments);
  if (changes.length === 0) return "none";
  const database = new Database(version.at.root + encode(name));
  const item = ({ name: file, now, change }) => {
    const url = now && database.attachmentUrl(id, file, version.rev);
    const label = previous ? { new: "new", changed: "changed", same: "", removed: "removed" }[change] : "";
    return h(
      "li",
      null,
      url
        ? h(
            "a",
            { href: url, download: file, "aria-label": `Download ${file} of ${version.rev}` },
            named(file),
          )
        : named(file),
      now && h("span", { class: "note" }, ` ${bytes(now.length)}`),
      label && h("strong", null, ` ${label}`),
    );
  };
  return h("ul", { class: "compact" }, changes.map(item));
}

const COLUMNS = [
  { head: "Version" },
  { head: "Current in backups" },
  { head: "Size", kind: "number" },
  { head: "Attachments" },
  { head: "Compare", kind: "choice" },
];

function choice(letter, version, isChosen) {
  return h(
    "label",
    { class: "choice" },
    h("input", {
      type: "radio",
      name: letter.toLowerCase(),
      value: version.rev,
      checked: isChosen,
      "aria-label": `${letter} is ${version.rev}`,
    }),
    letter,
  );
}

function versionsTable(versions, chosen, name, id) {
  const rows = versions.map((version, at) => {
    const previous = versions.slice(at + 1).find((its) => its.shown);
    return [
      [
        link(versionHref(version, name, id), code(version.rev)),
        version.deleted && h("span", { class: "note" }, " deleted"),
      ],
      timeCell(version),
      version.bytes > 0 ? bytes(version.bytes) : "unknown",
      attachmentsCell(version, previous, name, id),
      [choice("A", version, version.rev === chosen.a), choice("B", version, version.rev === chosen.b)],
    ];
  });
  return table("Versions over time", COLUMNS, rows);
}

/**
 * The versions, newest first, found page by page. `onFound` is called with all versions that are known whenever
 * there are more.
 */
export function versionsPart(archive, name, id, onFound, signal) {
  const place = h("div", { class: "list" });
  const hint = h("p", { class: "hint" });
  const more = h("button", { type: "button", hidden: true }, "Search older backups");
  const problems = h("div");
  const compare = h("button", { class: "main", hidden: true }, "Compare A with B");
  const form = h("form", { class: "versions" }, place, h("p", { class: "actions" }, compare, more), hint, problems);
  const section = part("versions", "Versions over time", form);
  section.classList.add("wide");
  const state = { versions: [], searched: 0, next: undefined };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const of = (letter) => state.versions.find((its) => its.rev === form.elements[letter]?.value);
    const [a, b] = [of("a"), of("b")];
    if (!a || !b) return;
    const options = { a: a.at.reference, b: b.at.reference, arev: a.rev, brev: b.rev };
    dispatchEvent(new CustomEvent("couchcopy:go", { detail: route.compare(name, id, options) }));
  });

  function show() {
    const { versions } = state;
    // The newest two that were the document, unless others were chosen.
    const [newest, before] = [...versions.filter((its) => its.shown), ...versions.filter((its) => !its.shown)];
    const kept = (letter) => versions.find((its) => its.rev === form.elements[letter]?.value);
    const chosen = { a: (kept("a") ?? before ?? newest)?.rev, b: (kept("b") ?? newest)?.rev };
    place.replaceChildren(
      versions.length === 0
        ? none("No version of this document was found in these backups.")
        : versionsTable(versions, chosen, name, id),
    );
    compare.hidden = versions.length < 2;
  }

  async function search() {
    busy(section, true);
    more.disabled = true;
    try {
      const found = await history(archive, name, id, state.next, signal);
      const before = state.versions.length;
      state.versions = merged(state.versions, found.versions);
      state.searched += found.searched;
      state.next = found.next;
      show();
      more.hidden = found.next === null;
      hint.replaceChildren(
        `${count(state.searched, "backup")} of ${number(found.total)} searched, from the newest on. `,
        "The files of a backup hold older versions as far back as the last compaction.",
      );
      fill(
        problems,
        found.problems.map((text) => h("p", { class: "notice" }, named(text))),
      );
      if (state.searched > found.searched) tell(`${count(state.versions.length - before, "more version")}`);
      onFound(state.versions);
    } catch (error) {
      if (!signal.aborted) problems.replaceChildren(problem(error));
    } finally {
      more.disabled = false;
      busy(section, false);
    }
  }

  more.addEventListener("click", search);
  show();
  place.replaceChildren(h("p", { class: "none" }, "Searching…", unseen(" the backups")));
  search();
  return section;
}
