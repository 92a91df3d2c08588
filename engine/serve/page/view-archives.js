// The archives that are served.

import { count, facts, h, heading, link, named, number } from "./dom.js";
import * as route from "./route.js";
import { none } from "./states.js";

/** A moment as an archive has it, to the minute: in UTC, or in the time of whatever place it was made at. */
const MOMENT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)[\d:.]*(Z|[+-]00:?00)?$/;

/** A moment for people; null where an archive has none. */
export function moment(date) {
  if (!date) return null;
  const [, day, minute, utc] = MOMENT.exec(date) ?? [];
  if (!day) return named(String(date));
  return h("time", { datetime: `${day}T${minute}${utc ? "Z" : ""}` }, `${day} ${minute}${utc ? " UTC" : ""}`);
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
    archive.isComplete === false && "incomplete: not everything could be saved",
    archive.isRepository
      ? `the newest of ${count(archive.backups, "backup")}`
      : archive.repository === null &&
          (archive.isIndexed ? "with a table of contents" : "without a table of contents, read in one pass"),
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
          "What these backups hold, read straight from them. Nothing here can change them.",
        ),
      ),
      list,
      (archives.length > 1 || archives[0]?.isRepository) &&
        h(
          "p",
          null,
          link(
            route.compare("", "", { a: archives[0].reference, b: (archives[1] ?? archives[0]).reference }),
            archives.length > 1 ? "Compare a document of two archives" : "Compare a document of two backups",
          ),
        ),
    ],
  };
}
