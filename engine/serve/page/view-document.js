// A document: a revision of it, its history and conflicts, its attachments, and what other archives have of
// it.

import { isUnaddressable, Refused } from "./api.js";
import { attachmentsPart } from "./attachments.js";
import { commandsPart, copyButton } from "./commands.js";
import { busy, code, count, facts, h, heading, link, named } from "./dom.js";
import * as json from "./json.js";
import { growing, inOtherArchives, part } from "./parts.js";
import { pretty } from "./pretty.js";
import * as revisions from "./revisions.js";
import * as route from "./route.js";
import { timeline } from "./timeline.js";
import { versionsPart } from "./versions.js";

/** Leads to a part of this view: addresses behind the `#` are taken by views. */
function jump(id, text) {
  return h(
    "button",
    { type: "button", class: "jump", onclick: () => document.getElementById(id).focus() },
    text,
  );
}

/** What kind of revision is shown, where it is not simply the document. */
function standing(at, shown) {
  const { rev, winner } = shown;
  if (shown.isLocal || (rev === winner && !shown.isDeleted && shown.conflicts.length === 0)) return null;
  const words = [];
  if (rev === winner) {
    words.push(
      shown.isDeleted
        ? [h("strong", null, "Deleted. "), "This is what the deletion left."]
        : [
            h("strong", null, count(shown.conflicts.length, "conflict"), ". "),
            "The same document was changed in several places. ",
            "This revision wins; what lost is here too: ",
            jump("revisions", "all revisions"),
            ".",
          ],
    );
  } else {
    const what = shown.conflicts.includes(rev)
      ? "A conflicting revision. "
      : shown.deleted.includes(rev)
        ? "A deleted revision. "
        : "An older revision. ";
    words.push([
      h("strong", null, what),
      "The document's winning revision is ",
      link(at.document(), code(winner)),
      ". ",
      link(at.compare({ arev: rev }), "Compare the two"),
    ]);
  }
  return h("div", { class: "notice" }, h("p", null, words));
}

/** The leaf revisions: the winning one, those in conflict with it, and where the document was deleted. */
function leavesPart(at, shown) {
  const entries = [
    { rev: shown.winner, note: shown.isGone ? "deleted, the last" : "winning" },
    ...shown.conflicts.map((rev) => ({ rev, note: "in conflict" })),
    ...shown.deleted.map((rev) => ({ rev, note: "deleted" })),
  ];
  const item = ({ rev, note }) => {
    const isShown = rev === shown.rev;
    const address = at.document({ rev: rev === shown.winner ? null : rev });
    return [
      h("p", null, isShown ? h("strong", null, code(rev)) : link(address, code(rev))),
      facts(
        note,
        isShown && "shown here",
        rev !== shown.winner &&
          h(
            "a",
            {
              href: at.compare({ arev: shown.winner, brev: rev }),
              "aria-label": `Compare ${rev} with the winning revision`,
            },
            "Compare",
          ),
      ),
    ];
  };
  return part("revisions", "Revisions", growing(entries, item));
}

/** What this revision was made of. Which bodies are there is asked where the answer did not say. */
function historyPart(at, shown, signal) {
  const older = shown.history.slice(1);
  if (older.length === 0) return null;
  const item = ({ rev, isKept }) => {
    const place = h("span", null);
    const show = (kept) => {
      busy(place, false);
      place.replaceChildren(
        kept ? link(at.document({ rev }), code(rev)) : code(rev),
        " ",
        h("span", { class: "note" }, kept ? "kept" : "not kept"),
      );
    };
    if (isKept === null) {
      place.append(code(rev));
      busy(place, true);
      at.database.keeps(at.id, rev, signal).then(show, () => busy(place, false));
    } else {
      show(isKept);
    }
    return place;
  };
  return part("history", "Earlier revisions", growing(older, item));
}

/** What the other archives have of the document. */
function othersPart(archives, at, shown, signal) {
  const look = async (archive) => {
    const database = archive.database(at.name);
    const row = shown?.isLocal
      ? { rev: (await revisions.load(database, at.id, null, signal)).rev }
      : await database.row(at.id, signal);
    if (row === null) return "not there";
    if (row.deleted) return ["deleted, ", code(row.rev)];
    if (row.rev === shown?.winner && !shown.isLocal) return "the same winning revision";
    return [
      code(row.rev),
      shown && [" ", link(at.compare({ a: at.archive.reference, b: archive.reference }), "compare")],
    ];
  };
  return inOtherArchives(archives, at.archive, (archive) => route.document(archive, at.name, at.id), look);
}

function actions(at, shown) {
  const copy = copyButton(() => (shown.value ? json.text(shown.value) : shown.text));
  const rev = shown.isLocal ? undefined : shown.rev;
  return h(
    "p",
    { class: "actions" },
    !shown.isLocal && link(at.compare({ brev: rev === shown.winner ? null : rev }), "Compare…"),
    !isUnaddressable(at.id) &&
      h("a", { href: at.database.documentUrl(at.id, { rev }), download: `${at.id}.json` }, "Download"),
    copy,
  );
}

/** The state in which a revision was the document, as a command names it; null where there is none. */
function currentState(archives, versions, rev) {
  const at = versions.find((its) => its.rev === rev)?.shown?.at;
  const archive = at && archives.find(({ number }) => number === at.number);
  if (!archive || archive.place === null) return null;
  const location = at.backup === null ? archive.place : `${archive.place}::${at.backup}`;
  return { location, flags: archive.flags, atSeq: at.at_seq };
}

/** Why there is nothing to show. */
function absent(at, error) {
  if (error instanceof revisions.NotKept) {
    return h(
      "div",
      { class: "notice" },
      h(
        "p",
        null,
        h("strong", null, "This revision is not kept. "),
        "The archive knows at most its number: CouchDB drops the bodies of older revisions when it compacts a database.",
      ),
      h("p", null, link(at.document(), "The document's winning revision")),
    );
  }
  const noDatabase = error.reason !== "missing" && error.reason !== "deleted";
  return h(
    "div",
    { class: "notice" },
    h(
      "p",
      null,
      h("strong", null, "Not in this archive. "),
      named(at.archive.name),
      noDatabase
        ? [" holds no database ", named(at.name), "."]
        : [" holds no such document in ", named(at.name), "."],
    ),
    h(
      "p",
      null,
      noDatabase
        ? link(route.archive(at.archive), "The archive's databases")
        : link(route.database(at.archive, at.name, { prefix: at.id }), "Documents whose ids begin so"),
    ),
  );
}

/** The view. */
export async function documentView(archives, archive, name, id, options, signal) {
  const at = {
    archive,
    name,
    id,
    database: archive.database(name),
    document: (its) => route.document(archive, name, id, its),
    compare: (its) => route.compare(name, id, { a: archive.reference, b: archive.reference, ...its }),
  };
  const over = timeline(archive, (its) => route.document(its, name, id), signal);
  const view = { title: options.rev, focusTimeline: over.focus };
  const head = (...content) =>
    h(
      "header",
      { class: "page" },
      h(
        "p",
        { class: "kind" },
        id.startsWith("_design/")
          ? "Design document"
          : id.startsWith("_local/")
            ? "Local document"
            : "Document",
      ),
      heading(id),
      content,
    );
  let shown;
  try {
    shown = await revisions.load(at.database, id, options.rev, signal);
  } catch (error) {
    if (!(error instanceof Refused && error.isMissing)) throw error;
    const versions = versionsPart(archive.series, name, id, () => {}, signal);
    const others = othersPart(archives, at, null, signal);
    return { ...view, content: [head(), over.element, absent(at, error), versions, others] };
  }
  const commands = commandsPart(at, shown);
  // The winning revision of what is shown can be brought back from there; of others, the states are searched.
  const isCurrent = shown.rev === shown.winner;
  if (isCurrent) commands.found(archive);
  const onFound = (versions) => isCurrent || commands.found(currentState(archives, versions, shown.rev));
  const versions = shown.isLocal ? null : versionsPart(archive.series, name, id, onFound, signal);
  return {
    ...view,
    content: [
      head(
        facts(
          ["revision ", code(shown.rev)],
          shown.isDeleted && "deleted",
          shown.conflicts.length > 0 && jump("revisions", count(shown.conflicts.length, "conflict")),
          shown.attachments.length > 0 && jump("attachments", count(shown.attachments.length, "attachment")),
        ),
      ),
      over.element,
      standing(at, shown),
      h(
        "div",
        { class: "columns" },
        h(
          "section",
          { class: "content", "aria-labelledby": "content" },
          h(
            "div",
            { class: "bar middle" },
            h("h2", { id: "content", tabindex: "-1" }, "Content"),
            actions(at, shown),
          ),
          pretty(shown.value ?? shown.text),
        ),
        h(
          "div",
          { class: "side" },
          attachmentsPart(at, shown, signal),
          !shown.isLocal && leavesPart(at, shown),
          historyPart(at, shown, signal),
          othersPart(archives, at, shown, signal),
        ),
      ),
      versions,
      commands.element,
    ],
  };
}
