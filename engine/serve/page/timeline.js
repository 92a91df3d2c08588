// The backups in the order of time, to see the same thing in another one.

import { backups, stamp } from "./api.js";
import { busy, fill, h, number, tell } from "./dom.js";
import { problem } from "./states.js";

/** So many backups are asked for at once. */
const MANY = 40;

/** What a backup is called on the timeline: when it was made, and what is wrong with it. */
function tickText(backup) {
  const { date } = backup;
  const text = stamp(date).replace(/ UTC$/, "");
  return [
    h("time", { datetime: /Z$/.test(date ?? "") ? date : null }, text),
    backup.repository === null && h("span", { class: "note" }, ` ${backup.name.split("/").at(-1)}`),
    backup.problem !== undefined && h("span", { class: "note" }, " cannot be read"),
    backup.isComplete === false && h("span", { class: "note" }, " incomplete"),
  ];
}

/**
 * A list of the backups around the one that is shown. `href` gives the address of the same view in another backup.
 * Gives the element, which fills itself, and what puts the focus there: `{ element, focus }`.
 */
export function timeline(archive, href, signal) {
  const heading = h("h2", { id: "timeline", tabindex: "-1" }, "Backups over time");
  const where = h("p", { class: "hint", id: "timeline-hint" });
  const list = h("ol", { class: "ticks" });
  const older = h("button", { type: "button" }, "Older backups");
  const newer = h("button", { type: "button" }, "Newer backups");
  const day = h("input", { id: "timeline-day", type: "date" });
  const goTo = h(
    "form",
    { class: "day" },
    h("label", { for: "timeline-day" }, "Go to the day"),
    day,
    h("button", null, "Go"),
  );
  const element = h(
    "nav",
    { class: "timeline", "aria-labelledby": "timeline", "aria-busy": "true" },
    h("div", { class: "bar middle" }, heading, h("div", { class: "actions" }, older, newer, goTo)),
    list,
    where,
  );
  const state = { total: 0, offset: 0, shown: [] };
  let wantsFocus = false;

  const links = () => [...list.querySelectorAll("a")];
  const current = () => list.querySelector("[aria-current]") ?? links().at(-1);

  /** The tab key leads to one of the links; the arrow keys lead to the others. */
  function point(link) {
    for (const its of links()) its.tabIndex = its === link ? 0 : -1;
    reveal(link);
  }

  /** Scrolls the list, and not the window: what is read stays where it is. */
  function reveal(link) {
    if (list.isConnected) {
      list.scrollLeft = link.offsetLeft - list.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
    } else if (!signal.aborted) {
      requestAnimationFrame(() => reveal(link));
    }
  }

  function show(found) {
    Object.assign(state, { total: found.total, offset: found.offset, shown: found.backups });
    list.replaceChildren();
    fill(
      list,
      found.backups.map((backup) => {
        const isShown = backup.id === archive.id;
        return h(
          "li",
          null,
          h("a", { href: href(backup), "aria-current": isShown && archive.atSeq === null ? "true" : null }, tickText(backup)),
        );
      }),
    );
    const end = found.offset + found.backups.length;
    older.disabled = found.offset === 0;
    newer.disabled = end === found.total;
    goTo.hidden = found.total <= MANY;
    older.hidden = newer.hidden = found.total <= MANY;
    const at = found.backups.findIndex((its) => its.id === archive.id);
    const position = `backup ${number(found.offset + at + 1)} of ${number(found.total)}`;
    const what = archive.atSeq === null ? `B${position.slice(1)}` : `An earlier state in ${position}`;
    const words = at < 0 ? [] : [`${what} is shown. `];
    where.replaceChildren(...words, "Choose with the keys ← and →, open with Enter.");
    if (links().length > 0) point(current());
  }

  /** Shows other backups of the list; `pick` says which of them gets the focus. */
  async function turn(range, pick) {
    busy(element, true);
    try {
      const found = await backups(archive.series, { ...range, limit: MANY }, signal);
      if (found.backups.length === 0) return;
      show(found);
      const link = pick(links());
      point(link);
      link.focus({ preventScroll: true });
      const [first, last] = [found.backups[0], found.backups.at(-1)].map((its) => stamp(its.date));
      tell(`Backups from ${first} to ${last}`);
    } catch (error) {
      if (!signal.aborted) where.replaceChildren(problem(error));
    } finally {
      busy(element, false);
    }
  }

  const toOlder = () => turn({ before: state.shown[0].id }, (its) => its.at(-1));
  const toNewer = () => turn({ after: state.shown.at(-1).id }, (its) => its[0]);
  older.addEventListener("click", toOlder);
  newer.addEventListener("click", toNewer);
  goTo.addEventListener("submit", (event) => {
    event.preventDefault();
    if (day.value === "") return;
    // The last backup of the day, or the last one before it.
    turn({ on: day.value }, (its) => {
      const at = state.shown.findLastIndex(({ date }) => (date ?? "").slice(0, 10) <= day.value);
      return its[Math.max(at, 0)];
    });
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const all = links();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    if (to < 0) {
      if (state.offset > 0) toOlder();
    } else if (to >= all.length) {
      if (state.offset + all.length < state.total) toNewer();
    } else {
      point(all[to]);
      all[to].focus({ preventScroll: true });
    }
  });

  backups(archive.series, { around: archive.id, limit: MANY }, signal)
    .then((found) => {
      // One moment is no timeline.
      if (found.total < 2) {
        element.remove();
        return;
      }
      show(found);
      if (wantsFocus) focus();
    })
    .catch((error) => signal.aborted || where.replaceChildren(problem(error)))
    .finally(() => busy(element, false));

  function focus() {
    wantsFocus = true;
    if (links().length > 0) current().focus({ preventScroll: true });
  }

  return { element, focus };
}
