// A document's attachments. They are downloaded, or shown within this page as images or as text: nothing that
// came out of a backup is opened as a page of its own, where it could run.

import { ask } from "./api.js";
import { busy, bytes, facts, h, named, number, tell } from "./dom.js";

/** What browsers draw. In an `img` not even SVG runs anything. */
const IMAGES = /^image\/(png|jpeg|gif|webp|avif|bmp|svg\+xml)\b/i;
const TEXTS = /^(text\/|application\/(json|xml|javascript|x-sh|yaml|x-yaml|sql)\b|[^;]*\+(json|xml)\b)/i;

/** So much of a text is shown. */
const SHOWN = 64 * 1024;

/** The beginning of a text, and whether more follows. The rest is not fetched. */
async function beginning(url, signal) {
  const reader = (await ask(url, { signal, headers: {} })).body.getReader();
  const parts = [];
  let length = 0;
  while (length < SHOWN) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  const isAll = length < SHOWN;
  if (!isAll) await reader.cancel();
  const text = await new Blob(parts).slice(0, SHOWN).text();
  return { text, isAll };
}

async function preview(url, type, name, signal) {
  if (IMAGES.test(type)) {
    const image = h("img", { src: url, alt: `Preview of ${name}` });
    await image.decode();
    return image;
  }
  const { text, isAll } = await beginning(url, signal);
  return [
    h(
      "pre",
      { class: "json", tabindex: "0", role: "region", "aria-label": `Text of ${name}` },
      h("code", null, text),
    ),
    !isAll && h("p", { class: "hint" }, `The first ${number(SHOWN / 1024)} KiB; download it for the rest.`),
  ];
}

/** A button that shows an attachment below itself, and hides it again. */
function previewButton(url, { name, content_type: type }, place, signal) {
  const button = h(
    "button",
    { type: "button", "aria-expanded": "false", "aria-label": `Preview ${name}` },
    "Preview",
  );
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-expanded") === "true") {
      place.replaceChildren();
      button.setAttribute("aria-expanded", "false");
      return;
    }
    button.setAttribute("aria-expanded", "true");
    place.replaceChildren("Loading…");
    busy(place, true);
    let shown;
    try {
      shown = await preview(url, type, name, signal);
    } catch {
      shown = h("p", { class: "hint" }, "This cannot be shown. It can be downloaded.");
    }
    busy(place, false);
    if (button.getAttribute("aria-expanded") === "false") return;
    place.replaceChildren(...[shown].flat().filter(Boolean));
    tell(`${name} is shown`);
  });
  return button;
}

/** The attachments of the revision that is shown; nothing where it has none. */
export function attachmentsPart(at, shown, signal) {
  if (shown.attachments.length === 0) return null;
  const items = shown.attachments.map((attachment) => {
    const { name, content_type: type = "unknown type", length } = attachment;
    const url = at.database.attachmentUrl(at.id, name, shown.rev);
    const place = h("div", { class: "preview" });
    const canShow = url !== null && (IMAGES.test(type) || TEXTS.test(type));
    return h(
      "li",
      null,
      h("p", { class: "file" }, named(name)),
      facts(named(type), typeof length === "number" && bytes(length)),
      url === null
        ? h("p", { class: "hint" }, "No browser can ask for this name; couchcopy get --attachment can.")
        : h(
            "p",
            { class: "actions" },
            h("a", { href: url, download: name, "aria-label": `Download ${name}` }, "Download"),
            canShow && previewButton(url, attachment, place, signal),
          ),
      place,
    );
  });
  return h(
    "section",
    { "aria-labelledby": "attachments" },
    h("h2", { id: "attachments", tabindex: "-1" }, "Attachments"),
    h("ul", { class: "files" }, items),
  );
}
