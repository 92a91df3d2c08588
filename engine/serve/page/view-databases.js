// The databases of an archive.

import { busy, bytes, h, heading, link, named, number } from "./dom.js";
import { finder, table } from "./finder.js";
import * as route from "./route.js";
import { none } from "./states.js";
import { timeline } from "./timeline.js";
import { archiveFacts } from "./view-archives.js";

const COLUMNS = [
  { head: "Database" },
  { head: "Documents", kind: "number" },
  { head: "Deleted", kind: "number" },
  { head: "Size", kind: "number" },
];

/** A table of databases, whose counts come when they are known. */
function databasesTable(archive, names, signal) {
  const rows = names.map((name) => ({
    name,
    cells: COLUMNS.slice(1).map(() => h("span", { class: "pending" }, "…")),
  }));
  const made = table(
    "Databases",
    COLUMNS,
    rows.map(({ name, cells }) => [link(route.database(archive, name), named(name)), ...cells]),
  );
  busy(made, true);
  const show = (infos) => {
    for (const { name, cells } of rows) {
      const info = infos.get(name);
      const texts = info
        ? [number(info.doc_count), number(info.doc_del_count), bytes(info.sizes.file)]
        : ["unknown", "unknown", "unknown"];
      cells.forEach((cell, at) => cell.replaceWith(texts[at]));
    }
    busy(made, false);
  };
  archive.infos(names, signal).then(show, () => signal.aborted || show(new Map()));
  return made;
}

function kind(archive) {
  if (archive.isRepository) return "Repository";
  return archive.repository ? "Backup in a repository" : "Archive";
}

/** The view. */
export async function databasesView(archive, options, signal) {
  const list = await finder({
    things: "Databases",
    field: "Name begins with",
    state: options,
    href: (state) => route.archive(archive, state),
    ask: (range, its) => archive.names(range, its),
    keyOf: (name) => name,
    show: (names, its) => databasesTable(archive, names, its),
    none: (prefix) =>
      prefix === ""
        ? none("This archive holds no databases.")
        : none("No database in this archive begins with ", named(prefix), "."),
    signal,
  });
  const { element, focus } = timeline(archive, (its) => route.archive(its, { prefix: options.prefix }), signal);
  return {
    title: null,
    focusTimeline: focus,
    focus: options.start || options.before ? "list" : null,
    content: [
      h(
        "header",
        { class: "page" },
        h("p", { class: "kind" }, kind(archive)),
        heading(archive.name),
        archiveFacts(archive),
      ),
      element,
      list,
    ],
  };
}
