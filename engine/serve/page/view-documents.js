// The documents of a database, and what else there is to say of it.

import { Refused } from "./api.js";
import { bytes, code, count, facts, h, heading, link, named, number } from "./dom.js";
import { finder, pager, table } from "./finder.js";
import { inOtherArchives } from "./parts.js";
import { pretty } from "./pretty.js";
import * as route from "./route.js";
import { none } from "./states.js";
import { SIZE } from "./pages.js";
import { timeline } from "./timeline.js";

const LISTS = [
  { list: undefined, tab: "Documents", title: "Documents" },
  { list: "design", tab: "Design", title: "Design documents" },
  { list: "local", tab: "Local", title: "Local documents" },
  { list: "deleted", tab: "Deleted", title: "Deleted documents" },
  { list: "about", tab: "About", title: "About" },
];

/** Which rows each list has, and what all of their ids begin with. */
const ROWS = {
  design: { rows: "_design_docs", hidden: "_design/" },
  local: { rows: "_local_docs", hidden: "_local/" },
};

const COLUMNS = [{ head: "Document" }, { head: "Revision", kind: "revision" }];

function documentsTable(label, columns, archive, name, rows) {
  return table(
    label,
    columns,
    rows.map(({ id, rev }) => [link(route.document(archive, name, id), named(id)), code(rev)]),
  );
}

/** Documents that have bodies, narrowed down by how their ids begin. */
function documentList(archive, name, title, options, signal) {
  const { rows, hidden = "" } = ROWS[options.list] ?? { rows: "_all_docs" };
  const database = archive.database(name);
  const things = title.toLowerCase();
  return finder({
    things: title,
    field: hidden === "" ? "Id begins with" : `Id begins with ${hidden}…`,
    state: options,
    href: (state) => route.database(archive, name, { list: options.list, ...state }),
    ask: (range, its) => database.rows(rows, range, its),
    keyOf: (row) => row.id,
    hidden,
    show: (found) =>
      documentsTable(
        title,
        COLUMNS,
        archive,
        name,
        found.map(({ id, value }) => ({ id, rev: value.rev })),
      ),
    none: (prefix) =>
      prefix === ""
        ? none(`This database has no ${things}.`)
        : none(
            `There are no ${things} whose id begins with `,
            named(hidden + prefix),
            ". If it was deleted, ",
            link(route.document(archive, name, hidden + prefix), "look for the document of exactly that id"),
            ".",
          ),
    signal,
  });
}

/** Deleted documents: no list of CouchDB has them but the changes, which are walked in their order. */
async function deletedList(archive, name, options, info, signal) {
  const heading = h("h2", { id: "list", tabindex: "-1" }, "Deleted documents");
  const section = (...content) =>
    h(
      "section",
      { "aria-labelledby": "list" },
      heading,
      h("p", { class: "hint" }, "In the order of their deletion."),
      content,
    );
  if (info.doc_del_count === 0) return section(none("This database has no deleted documents."));
  const { results } = await archive.database(name).deleted({ since: options.since, limit: SIZE + 1 }, signal);
  const rows = results.slice(0, SIZE);
  const address = (since) => route.database(archive, name, { list: "deleted", since });
  const columns = [COLUMNS[0], { head: "Last revision", kind: "revision" }];
  return section(
    rows.length === 0
      ? none("There are no more.")
      : documentsTable(
          "Deleted documents",
          columns,
          archive,
          name,
          rows.map(({ id, changes }) => ({ id, rev: changes[0].rev })),
        ),
    pager("Pages of deleted documents", {
      previous: null,
      first: options.since && address(),
      next: results.length > SIZE ? address(rows.at(-1).seq) : null,
    }),
  );
}

/** Counts, shards, security. */
async function about(archive, name, info, signal) {
  const database = archive.database(name);
  // Not all of it has to be there.
  const part = (its) =>
    database.part(its, signal).catch((error) => {
      if (error instanceof Refused) return error;
      throw error;
    });
  const [security, shards, limit] = await Promise.all([
    part("_security"),
    part("_shards"),
    part("_revs_limit"),
  ]);
  const fact = (term, ...value) => [h("dt", null, term), h("dd", null, value)];
  const shown = (value) =>
    value instanceof Refused ? none("Not to be had: ", named(value.reason)) : pretty(JSON.stringify(value));
  const ranges = shards.shards ? Object.entries(shards.shards) : [];
  return [
    h(
      "section",
      { "aria-labelledby": "list" },
      h("h2", { id: "list", tabindex: "-1" }, "About"),
      h(
        "dl",
        { class: "about" },
        fact("Documents", number(info.doc_count)),
        fact("Deleted documents", number(info.doc_del_count)),
        fact(
          "Size of its files",
          bytes(info.sizes.file),
          " (",
          bytes(info.sizes.active),
          " in use, ",
          bytes(info.sizes.external),
          " as JSON)",
        ),
        fact("Update sequence", code(String(info.update_seq))),
        fact("Purge sequence", code(String(info.purge_seq))),
        fact(
          "Shards",
          info.cluster &&
            `${count(info.cluster.q, "range")}, ${count(info.cluster.n, "copy", "copies")} of each`,
        ),
        fact("Partitioned", info.props?.partitioned ? "yes" : "no"),
        typeof limit === "number" && fact("Revisions kept of each document", number(limit)),
        fact("Format of its files", String(info.disk_format_version ?? "unknown")),
      ),
    ),
    h("section", null, h("h2", null, "Security"), shown(security)),
    h(
      "section",
      null,
      h("h2", null, "Shards"),
      shards instanceof Refused
        ? shown(shards)
        : table(
            "Shards",
            [{ head: "Range" }, { head: "Nodes" }],
            ranges.map(([range, nodes]) => [code(range), named(nodes.join(", "))]),
          ),
    ),
  ];
}

function missing(archives, archive, name, over, signal) {
  return {
    title: "Not in this archive",
    focusTimeline: over.focus,
    content: [
      h("header", { class: "page" }, h("p", { class: "kind" }, "Database"), heading(name)),
      over.element,
      h(
        "div",
        { class: "notice" },
        h(
          "p",
          null,
          h("strong", null, "Not in this archive. "),
          named(archive.name),
          " holds no database of this name.",
        ),
        h(
          "p",
          null,
          link(route.archive(archive), "Its databases"),
          " · ",
          link(route.archives(), "All archives"),
        ),
      ),
      inOtherArchives(
        archives,
        archive,
        (its) => route.database(its, name),
        async (its) => count((await its.database(name).info(signal)).doc_count, "document"),
      ),
    ],
  };
}

/** The view. */
export async function documentsView(archives, archive, name, options, signal) {
  const now = LISTS.find(({ list }) => list === options.list) ?? LISTS[0];
  const there = (its) => route.database(its, name, { list: now.list, prefix: options.prefix });
  const over = timeline(archive, there, signal);
  let info;
  try {
    info = await archive.database(name).info(signal);
  } catch (error) {
    if (error instanceof Refused && error.isMissing) return missing(archives, archive, name, over, signal);
    throw error;
  }
  const list =
    now.list === "about"
      ? await about(archive, name, info, signal)
      : now.list === "deleted"
        ? await deletedList(archive, name, options, info, signal)
        : await documentList(archive, name, now.title, { ...options, list: now.list }, signal);
  return {
    title: now.list ? now.title : null,
    focusTimeline: over.focus,
    focus: now.list || options.start || options.before ? "list" : null,
    content: [
      h(
        "header",
        { class: "page" },
        h("p", { class: "kind" }, "Database"),
        heading(name),
        facts(
          count(info.doc_count, "document"),
          info.doc_del_count > 0 && `${number(info.doc_del_count)} deleted`,
          bytes(info.sizes.file),
          info.props?.partitioned && "partitioned",
        ),
      ),
      over.element,
      h(
        "nav",
        { class: "parts", "aria-label": "Parts of this database" },
        h(
          "ul",
          null,
          LISTS.map(({ list: its, tab }) =>
            h(
              "li",
              null,
              h(
                "a",
                {
                  href: route.database(archive, name, { list: its }),
                  "aria-current": its === now.list ? "page" : null,
                },
                tab,
              ),
            ),
          ),
        ),
      ),
      list,
    ],
  };
}
