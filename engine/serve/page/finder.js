// A list with a field above it that narrows it down by how names begin, and the pages of it.

import { busy, fill, h, link, named, tell } from "./dom.js";
import { readPage, SIZE } from "./pages.js";
import { problem } from "./states.js";

/** How long typing has to rest before the list follows, in milliseconds. */
const REST = 200;

/**
 * A table. `columns` are `{ head, kind }`, `kind` a class or nothing; `rows` lists of what the cells hold,
 * the first the row's name.
 */
export function table(label, columns, rows) {
  // The roles are told because narrow windows show rows as blocks, and some browsers take such for no table.
  const cell = (content, { head, kind }, at) =>
    at === 0
      ? h("th", { scope: "row", role: "rowheader" }, content)
      : h("td", { role: "cell", class: kind, "data-head": head }, content);
  return h(
    "table",
    { role: "table", "aria-label": label },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map(({ head, kind }) => h("th", { scope: "col", role: "columnheader", class: kind }, head)),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      rows.map((cells) =>
        h(
          "tr",
          { role: "row" },
          cells.map((content, at) => cell(content, columns[at], at)),
        ),
      ),
    ),
  );
}

/** Links to the pages beside this one; nothing where there are none. */
export function pager(label, { first, previous, next }) {
  if (!previous && !next) return null;
  return h(
    "nav",
    { class: "pager", "aria-label": label },
    first && link(first, "First page"),
    previous && h("a", { href: previous, rel: "prev" }, "Previous page"),
    next && h("a", { href: next, rel: "next" }, "Next page"),
  );
}

/**
 * The list. `about` says:
 * - `things`: what is listed, e.g. "Databases"; `field`: what the field is called; `hint`: a word on it, or
 *   nothing
 * - `state`: prefix, start and before of the address; `href(state)`: the address of another
 * - `ask(range, signal)`: rows; `keyOf(row)`; `hidden`: what all keys begin with, which nobody types
 * - `show(rows, signal)`: the nodes for some rows; `none(prefix)`: those where there are none
 * - `signal`: ends with the view
 *
 * Gives what to show, when its first page is there.
 */
export async function finder(about) {
  const { things, state, signal } = about;
  const hidden = about.hidden ?? "";
  const heading = h("h2", { id: "list", tabindex: "-1" });
  const place = h("div", { class: "list" });
  let running = null;

  async function load(prefix, { start = "", before = "" }) {
    running?.abort();
    busy(place, true);
    running = new AbortController();
    const { signal: both } = running;
    const wanted = { prefix: hidden + prefix, start, before };
    const page = await readPage((range) => about.ask(range, both), about.keyOf, wanted);
    const to = (its) => its && about.href({ prefix, ...its });
    const links = pager(`Pages of ${things.toLowerCase()}`, {
      first: page.previous && to({}),
      previous: to(page.previous),
      next: to(page.next),
    });
    heading.replaceChildren(things);
    if (page.previous && page.rows.length > 0)
      fill(heading, [" from ", named(about.keyOf(page.rows[0])), " on"]);
    place.replaceChildren();
    busy(place, false);
    fill(place, [page.rows.length > 0 ? about.show(page.rows, both) : about.none(prefix), links]);
    return page;
  }

  async function follow(prefix) {
    history.replaceState(null, "", about.href({ prefix }));
    try {
      const page = await load(prefix, {});
      const shown = page.rows.length === 0 ? "None" : page.next ? `The first ${SIZE}` : `${page.rows.length}`;
      tell(`${things}: ${shown}${prefix === "" ? "" : " that begin with " + prefix}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      busy(place, false);
      place.replaceChildren(problem(error));
    }
  }

  signal.addEventListener("abort", () => running?.abort());

  const input = h("input", {
    type: "search",
    id: "prefix",
    value: state.prefix,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    "aria-describedby": about.hint ? "prefix-hint" : null,
  });
  let timer = 0;
  let last = state.prefix ?? "";
  const typed = (wait) => {
    clearTimeout(timer);
    busy(place, true);
    timer = setTimeout(() => {
      if (signal.aborted) return;
      if (input.value === last) {
        busy(place, false);
        return;
      }
      last = input.value;
      follow(last);
    }, wait);
  };
  input.addEventListener("input", () => typed(REST));
  const form = h(
    "form",
    {
      role: "search",
      class: "find",
      onsubmit: (event) => {
        event.preventDefault();
        typed(0);
      },
    },
    h("label", { for: "prefix" }, about.field),
    input,
    about.hint && h("p", { id: "prefix-hint", class: "hint" }, about.hint),
  );

  await load(last, state);
  return h("section", { "aria-labelledby": "list" }, h("div", { class: "bar" }, heading, form), place);
}
