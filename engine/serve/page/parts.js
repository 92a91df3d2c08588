// Parts that views are made of.

import { Refused } from "./api.js";
import { busy, fill, h, link, named, number } from "./dom.js";

/** So many entries are shown at once. */
const MANY = 10;

/** A part of a view with a heading of its own. */
export function part(id, title, ...content) {
  return h("section", { "aria-labelledby": id }, h("h2", { id, tabindex: "-1" }, title), content);
}

/** A list whose rest comes on demand. `item` makes what an entry shows, when it is shown. */
export function growing(entries, item) {
  const list = h("ul", { class: "entries" });
  const grow = (to) => {
    const added = entries.slice(list.childElementCount, to).map((entry) => h("li", null, item(entry)));
    list.append(...added);
    return added[0];
  };
  grow(MANY);
  if (entries.length <= MANY) return list;
  const button = h("button", { type: "button" }, `Show ${number(entries.length - MANY)} more`);
  button.addEventListener("click", () => {
    const next = grow(entries.length);
    button.remove();
    next.tabIndex = -1;
    next.focus();
  });
  return [list, button];
}

/**
 * What other archives have of something. `address` is where it would be in an archive; `look` asks one, and
 * gives what to say of it. What it does not have is told as such.
 */
export function inOtherArchives(archives, archive, address, look) {
  // The other backups of its repository are on the timeline.
  const others = archives.filter((its) => its.number !== archive.number);
  if (others.length === 0) return null;
  const item = (its) => {
    const place = h("span", { class: "note", "aria-busy": "true" }, "…");
    look(its)
      .catch((error) => (error instanceof Refused && error.isMissing ? "not there" : "could not be read"))
      .then((what) => {
        busy(place, false);
        place.replaceChildren();
        fill(place, [what]);
      });
    return [link(address(its), named(its.name)), " ", place];
  };
  return part("others", "In other archives", growing(others, item));
}
