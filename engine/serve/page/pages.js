// Lists that are shown page by page. A page is asked for by the key that it begins with: never the whole
// list, and nothing is skipped, so the last of a million is as near as the first.

/** How many rows a page has. */
export const SIZE = 50;

/**
 * A page: `{ rows, previous, next }`. `ask` gives rows for `{ startkey, descending, limit }`, `keyOf` a row's
 * key. The rows begin with `prefix`; of these the page begins with `start`, or ends before `before`.
 * `previous` and `next` are what to give for the pages beside it, or null.
 */
export async function readPage(ask, keyOf, { prefix = "", start = "", before = "" }) {
  // Rows are sorted, so those with the prefix stand together.
  const inside = (rows) => {
    const end = rows.findIndex((row) => !keyOf(row).startsWith(prefix));
    return end < 0 ? rows : rows.slice(0, end);
  };
  if (before !== "") {
    const asked = await ask({ startkey: before, descending: true, limit: SIZE + 2 });
    const rows = inside(asked.filter((row) => keyOf(row) !== before));
    if (rows.length >= SIZE) {
      const shown = rows.slice(0, SIZE).reverse();
      return {
        rows: shown,
        previous: rows.length > SIZE ? { before: keyOf(shown[0]) } : null,
        next: { start: before },
      };
    }
    // The first page, filled up.
  }
  const begin = before === "" && start !== "" ? start : prefix;
  const rows = inside(await ask({ startkey: begin, descending: false, limit: SIZE + 1 }));
  return {
    rows: rows.slice(0, SIZE),
    previous: begin === prefix ? null : { before: begin },
    next: rows.length > SIZE ? { start: keyOf(rows[SIZE]) } : null,
  };
}
