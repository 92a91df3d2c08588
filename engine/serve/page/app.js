// Shows what the address names, and follows it.

import * as api from "./api.js";
import { busy, fill, h, named, spelt, tell } from "./dom.js";
import * as route from "./route.js";
import { failed, nowhere } from "./states.js";
import { archivesView } from "./view-archives.js";
import { compareView } from "./view-compare.js";
import { databasesView } from "./view-databases.js";
import { documentView } from "./view-document.js";
import { documentsView } from "./view-documents.js";

/** How long something may take before it is told that it is loading, in milliseconds. */
const SOON = 200;

const main = document.getElementById("main");
let running = new AbortController();
let archives = null;
/** What the reference in the address names. */
let archive = null;

/** Links that were followed, by the address that they were followed from: going back leads to where one was. */
const followed = new Map();
let isFollowing = false;
/** Whether a backup was chosen on the timeline: the next one is chosen there as well. */
let isOnTimeline = false;

async function viewOf({ parts, options }, signal) {
  // What is served does not change; the list is asked for anew where it is shown.
  if (parts.length === 0 || archives === null) archives = await api.archives(signal);
  if (parts.length === 0) return archivesView(archives);
  if (parts[0] === "compare") return compareView(archives, parts, options, signal);
  archive = await api.resolve(archives, parts[0], signal);
  if (!archive) return nowhere();
  if (parts.length === 1) return databasesView(archive, options, signal);
  if (parts.length === 2) return documentsView(archives, archive, parts[1], options, signal);
  // A hand may have typed the slash of `_design/name` as it is.
  return documentView(archives, archive, parts[1], parts.slice(2).join("/"), options, signal);
}

/** Where the address is: what stands above the view, and leads back. */
function stepsTo({ parts }) {
  if (parts.length === 0) return [];
  if (parts[0] === "compare") return [{ text: "Compare", href: location.hash }];
  const [reference, name, ...id] = parts;
  if (archive?.reference !== reference) return [];
  // Of the state of one shard only its documents are known.
  const saved = archive.saved ?? archive;
  return [
    { text: archive.name, href: route.archive(saved) },
    ...(name === undefined ? [] : [{ text: name, href: route.database(saved, name) }]),
    ...(id.length === 0 ? [] : [{ text: id.join("/"), href: route.document(archive, name, id.join("/")) }]),
  ];
}

/** Shows the view of the address; `isFirst` where the page has just been opened. */
async function show(isFirst) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const isBack = !isFirst && !isFollowing;
  const staysOnTimeline = isFollowing && isOnTimeline;
  isFollowing = false;
  const { hash } = location;
  busy(main, true);
  const slow = setTimeout(() => {
    document.body.classList.add("busy");
    tell("Loading");
    if (main.childElementCount === 0) main.append(h("p", { class: "none" }, "Loading…"));
  }, SOON);
  const wanted = route.read(hash);
  let view;
  try {
    view = wanted ? await viewOf(wanted, signal) : nowhere();
  } catch (error) {
    if (signal.aborted) return;
    view = failed(error);
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) document.body.classList.remove("busy");
  }
  if (signal.aborted) return;
  tell("");
  main.replaceChildren();
  fill(main, view.content);
  busy(main, false);
  const steps = [{ text: "Archives", href: route.archives() }, ...(wanted ? stepsTo(wanted) : [])];
  crumbs(steps);
  const [here, ...above] = [...steps.map(({ text }) => text), view.title].filter(Boolean).reverse();
  document.title = spelt([here, ...above.slice(0, -1), "couchcopy"].join(" · "));
  if (staysOnTimeline && view.focusTimeline) view.focusTimeline();
  else if (!isFirst) place(isBack ? followed.get(hash) : null, view.focus);
}

/** Puts the focus where reading goes on. */
function place(link, heading) {
  const back = link && [...main.querySelectorAll("a")].find((its) => its.getAttribute("href") === link);
  if (back) {
    back.focus();
    return;
  }
  scrollTo(0, 0);
  const target = (heading && document.getElementById(heading)) || main.querySelector("h1") || main;
  target.focus({ preventScroll: !heading });
}

function crumbs(steps) {
  const list = document.getElementById("crumbs");
  list.replaceChildren();
  fill(
    list,
    steps.map(({ text, href }, at) =>
      h("li", null, h("a", { href, "aria-current": at === steps.length - 1 ? "page" : null }, named(text))),
    ),
  );
}

document.addEventListener("click", (event) => {
  const href = event.target.closest?.("a")?.getAttribute("href");
  if (!href?.startsWith("#/") || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0)
    return;
  followed.set(location.hash, href);
  isOnTimeline = event.target.closest(".timeline") !== null;
  // Where one already is, nothing will be shown anew.
  isFollowing = href !== location.hash;
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// Forms that lead to another view.
addEventListener("couchcopy:go", ({ detail }) => {
  isFollowing = true;
  isOnTimeline = false;
  if (detail === location.hash) show(false);
  else location.hash = detail;
});
addEventListener("hashchange", () => show(false));
history.scrollRestoration = "manual";
show(true);
