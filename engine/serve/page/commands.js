// Commands to copy: what prints a version of a document, and what brings it back.

import { h, named, tell } from "./dom.js";
import { part } from "./parts.js";
import * as shell from "./shell.js";

/** A node, until somebody has named one. The password is asked for. */
const NODE = "admin@localhost:5984";
const NODE_KEY = "couchcopy-node";

/** A button that copies a text; `what` is said of it to those who listen. */
export function copyButton(text, what) {
  const button = h("button", { type: "button", "aria-label": what && `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      tell("Copied");
      button.textContent = "Copied";
    } catch {
      tell("The browser did not allow to copy");
      button.textContent = "Not allowed";
    }
  });
  return button;
}

/** A command, and what copies it. */
function shown(id, title, what) {
  const text = h("code");
  const box = h("pre", { class: "json", tabindex: "0", role: "region", "aria-labelledby": id }, text);
  const copy = copyButton(() => text.textContent, what);
  const element = h(
    "div",
    { class: "command" },
    h("div", { class: "bar middle" }, h("h3", { id }, title), copy),
    box,
  );
  return { element, set: (command) => (text.textContent = command) };
}

const UNSAYABLE = "No command line can hold a name with a zero byte.";

function remembered() {
  try {
    return sessionStorage.getItem(NODE_KEY) ?? NODE;
  } catch {
    return NODE;
  }
}

function remember(node) {
  try {
    sessionStorage.setItem(NODE_KEY, node);
  } catch {
    // Then it is typed once more.
  }
}

/**
 * The commands for the version that is shown. Gives the element, and what takes the state in which this version was
 * the document, `{ location, flags, atSeq }`, or null where it never was.
 */
export function commandsPart(at, version) {
  const { archive, name, id } = at;
  const hint = (...words) => h("p", { class: "hint" }, words);
  if (archive.location === null) {
    const why = "The archive was read from standard input: no command can read it once more.";
    return { element: part("commands", "Commands", hint(why)), found() {} };
  }
  const print = shown("command-get", "Print this version", "the command that prints this version");
  const rev = version.isLocal ? null : version.rev;
  const get = shell.get(archive, name, id, rev);
  print.set(get ?? "");
  const place = h("div", { class: "command" });
  const found = (state) => {
    place.replaceChildren();
    if (version.isLocal) return;
    if (version.isDeleted) {
      place.append(hint("This version deletes the document. To bring the document back, open an earlier version of it."));
      return;
    }
    if (!state) {
      place.append(
        hint(
          "No saved state has this version as the current one, so no command brings it back. ",
          "Print it, and write it to the database.",
        ),
      );
      return;
    }
    const back = shown("command-back", "Bring this version back", "the command that brings this version back");
    const node = h("input", {
      id: "node",
      value: remembered(),
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
    });
    const follow = () => {
      const its = node.value.trim() || NODE;
      back.set(shell.bringBack(state, state.atSeq, name, id, its) ?? UNSAYABLE);
    };
    node.addEventListener("input", () => {
      remember(node.value.trim());
      follow();
    });
    follow();
    place.append(
      h("p", { class: "field" }, h("label", { for: "node" }, "Node of the cluster"), node),
      back.element,
      hint("couchcopy shows what it would do, and asks before it writes. It stops nothing, and other documents stay as they are."),
    );
  };
  const element = part(
    "commands",
    "Commands",
    get === null ? hint(UNSAYABLE) : [print.element, place],
    archive.flags.length > 0 && hint("With the options that ", named("couchcopy serve"), " was started with."),
  );
  return { element, found };
}
