// The archives that are served.

import { count, facts, h, heading, link, named, number } from "./dom.js";
import * as route from "./route.js";
import { none } from "./states.js";

/** A moment for people, in UTC as the archive has it; null where it has none. */
export function moment(date) {
  if (!date) return null;
  const at = new Date(date);
  if (Number.isNaN(at.getTime())) return named(String(date));
  return h("time", { datetime: at.toISOString() }, `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`);
}

/** What is known of an archive, in a line. */
export function archiveFacts(archive) {
  const { nodes } = archive;
  return facts(
    moment(archive.date) ?? "date unknown",
    typeof archive.databases === "number" && count(archive.databases, "database"),
    nodes.length === 1
      ? ["node ", named(nodes[0])]
      : nodes.length > 1 &&
          h(
            "span",
            { title: nodes.join(", ") },
            count(nodes.length, "node"),
            ": ",
            named(nodes[0]),
            ` and ${number(nodes.length - 1)} more`,
          ),
    archive.madeBy && ["made by ", named(archive.madeBy)],
    archive.isIndexed ? "with a table of contents" : "without a table of contents, read in one pass",
  );
}

/** The view. */
export function archivesView(archives) {
  const list =
    archives.length === 0
      ? none("No archive is served.")
      : h(
          "ul",
          { class: "cards" },
          archives.map((archive) =>
            h(
              "li",
              null,
              h("h2", null, link(route.archive(archive), named(archive.name))),
              archiveFacts(archive),
            ),
          ),
        );
  return {
    title: null,
    content: [
      h(
        "header",
        { class: "page" },
        heading("Archives"),
        h(
          "p",
          { class: "lead" },
          "What these backups hold, read straight from the archives. Nothing here can change them.",
        ),
      ),
      list,
      archives.length > 1 &&
        h(
          "p",
          null,
          link(
            route.compare("", "", { a: archives[0].number, b: archives[1].number }),
            "Compare a document of two archives",
          ),
        ),
    ],
  };
}
