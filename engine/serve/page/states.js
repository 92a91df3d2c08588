// What is shown where there is nothing else to show.

import { Refused } from "./api.js";
import { h, heading, link, named } from "./dom.js";
import * as route from "./route.js";

/** Something that did not work, in place of what it was to fill. */
export function problem(error) {
  const refused = error instanceof Refused;
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", null, named(refused ? error.reason : `Something in this page went wrong: ${error.message}`)),
    refused && error.status > 0 && h("p", { class: "hint" }, `Answer ${error.status}, ${error.error}`),
  );
}

/** A whole view for something that did not work. */
export function failed(error) {
  return {
    title: "Not read",
    content: [
      heading("This could not be read"),
      problem(error),
      h(
        "p",
        null,
        h("button", { onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) }, "Try again"),
        " ",
        link(route.archives(), "All archives"),
      ),
    ],
  };
}

/** A whole view for an address that names nothing. */
export function nowhere() {
  return {
    title: "No such page",
    content: [
      heading("There is no such page"),
      h(
        "p",
        null,
        "The address in the browser names nothing that is here. ",
        link(route.archives(), "All archives"),
      ),
    ],
  };
}

/** A list without rows. */
export function none(...words) {
  return h("p", { class: "none" }, words);
}
