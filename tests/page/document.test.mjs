// A document: its revisions, conflicts and attachments.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { address, follow, look, open, oracle, settled, shop, title } from "./browser.mjs";

const SINGLE = "single-node.tar.gz";
const MONDAY = "monday.tar.gz";

function section(page, name) {
  return page.getByRole("region", { name, exact: true });
}

/** The document that is shown, as JSON. */
async function shown(page) {
  return JSON.parse(await section(page, "Content").locator("pre").innerText());
}

/**
 * A document of the oracle as the page shows it: without its ancestry, and attachments without their content.
 */
function expected(leaf) {
  return Object.fromEntries(Object.entries(leaf).filter(([name]) => name !== "_revisions"));
}

test(
  "a conflict is told, and each of its revisions opened",
  look(async (page) => {
    const leaves = oracle.conflicts.docs.c;
    await open(page, address(SINGLE, "conflicts"));
    await follow(page, "c");
    assert.match(await page.locator(".notice").innerText(), /^1 conflict\./);
    const told = await section(page, "Revisions")
      .locator(".entries > li")
      .evaluateAll((items) =>
        items.map((item) => [...item.querySelectorAll("p, li")].map((part) => part.innerText)),
      );
    assert.deepEqual(told, [
      ["2-cc", "winning", "shown here"],
      ["2-bb", "in conflict", "Compare"],
      ["3-dd", "deleted", "Compare"],
    ]);
    for (const rev of ["2-bb", "3-dd", "2-cc"]) {
      await follow(page, rev, section(page, "Revisions"));
      assert.deepEqual(await shown(page), expected(leaves.find((leaf) => leaf._rev === rev)));
      assert.equal((await title(page)).includes(rev), rev !== "2-cc");
    }
    await follow(page, "2-bb");
    assert.match(await page.locator(".notice").innerText(), /^A conflicting revision\. .* 2-cc/);
  }),
);

test(
  "of older revisions it is told which are kept",
  look(async (page) => {
    const [{ _revisions }, { _rev }] = shop.monday.orders.filter(({ _id }) => _id === "order-2026-000417");
    await open(page, address(MONDAY, "orders", "order-2026-000417"));
    const earlier = section(page, "Earlier revisions");
    const first = `1-${_revisions.ids[0]}`;
    assert.deepEqual(await earlier.getByRole("listitem").allInnerTexts(), [`${first} kept`]);
    await follow(page, first);
    assert.match(await page.locator(".notice").innerText(), /^An older revision/);
    assert.equal((await shown(page)).items[1].amount, 4);
    await follow(page, _rev, page.locator(".notice"));
    assert.equal((await shown(page)).items[1].amount, 6);
  }),
);

test(
  "a long history is shown in parts, and without bodies that are not there",
  look(async (page) => {
    await open(page, address(MONDAY, "ledger", "ledger"));
    const earlier = section(page, "Earlier revisions");
    assert.equal(await earlier.getByRole("listitem").count(), 10);
    await earlier.getByRole("button", { name: "Show 29 more" }).click();
    await settled(page);
    const texts = await earlier.getByRole("listitem").allInnerTexts();
    const { start, ids } = shop.monday.ledger[0]._revisions;
    assert.deepEqual(
      texts,
      ids.slice(1).map((id, at) => `${start - 1 - at}-${id} not kept`),
    );
    await open(page, address(MONDAY, "ledger", "ledger") + `?rev=1-${ids.at(-1)}`);
    assert.match(await page.getByRole("main").innerText(), /This revision is not kept/);
  }),
);

test(
  "numbers keep their digits, and members their order",
  look(async (page) => {
    await open(page, address(MONDAY, "odd-names", "numbers"));
    const text = await section(page, "Content").locator("pre").innerText();
    assert.match(text, /"huge": 12345678901234567890,/);
    assert.match(text, /"9": 1,\s+"10": 2,\s+"nested"/);
    assert.match(text, /"__proto__": \{\s+"a": 1/);
  }),
);

test(
  "attachments are told and downloaded, byte by byte",
  look({ acceptDownloads: true }, async (page) => {
    const attachments = Object.entries(oracle.atts.docs.with[0]._attachments);
    await open(page, address(SINGLE, "atts", "with"));
    const part = section(page, "Attachments");
    assert.equal(await part.locator(".files > li").count(), attachments.length);
    for (const [name, { content_type, data }] of attachments) {
      const item = part.locator(".files > li").filter({ hasText: name });
      assert.ok((await item.innerText()).includes(content_type));
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        item.getByRole("link", { name: `Download ${name}` }).click(),
      ]);
      const bytes = readFileSync(await download.path());
      assert.ok(bytes.equals(Buffer.from(data, "base64")), `${name}: ${bytes.length} bytes`);
      assert.equal(download.suggestedFilename(), name);
    }
  }),
);

test(
  "attachments are previewed as images and text, and never run",
  look(async (page) => {
    await open(page, address(MONDAY, "products", "chair"));
    const part = section(page, "Attachments");
    const preview = (name) => part.getByRole("button", { name: `Preview ${name}` });
    for (const name of ["chair.png", "logo.svg"]) {
      await preview(name).click();
      const image = part.getByRole("img", { name: `Preview of ${name}` });
      await image.waitFor();
      assert.ok(await image.evaluate((its) => its.complete && its.naturalWidth > 0), name);
    }
    for (const name of ["care/how to oil it.txt", "offer.html"]) {
      await preview(name).click();
      const text = part.getByRole("region", { name: `Text of ${name}` });
      await text.waitFor();
      const { data } = shop.monday.products[0]._attachments[name];
      assert.equal((await text.innerText()).trim(), Buffer.from(data, "base64").toString().trim());
    }
    assert.equal(await part.getByRole("button", { name: "Preview model.bin" }).count(), 0);
    await preview("chair.png").click();
    assert.equal(await part.getByRole("img", { name: "Preview of chair.png" }).count(), 0);
    // As pages of their own they would be let run nothing either.
    for (const name of ["offer.html", "logo.svg"]) {
      const url = await part.getByRole("link", { name: `Download ${name}` }).evaluate((its) => its.href);
      const { headers } = await page.evaluate(
        async (its) => ({ headers: Object.fromEntries((await fetch(its)).headers) }),
        url,
      );
      assert.match(headers["content-security-policy"], /sandbox/);
    }
  }),
);

test(
  "names of attachments are not believed",
  look(async (page) => {
    await open(page, address(MONDAY, "odd-names", "attachments"));
    const text = await section(page, "Attachments").innerText();
    assert.match(text, /<b>\.txt/);
    assert.match(text, /\\u202egnp\.html/);
    assert.match(text, /No browser can ask for this name/);
    await section(page, "Attachments").getByRole("button", { name: "<b>.txt" }).click();
    await page.getByRole("region", { name: "Text of <b>.txt" }).waitFor();
  }),
);

test(
  "other archives tell what they have of it",
  look(async (page) => {
    await open(page, address(MONDAY, "prices", "chair"));
    const others = section(page, "In other archives");
    assert.match(await others.innerText(), /tuesday\.tar\.gz the same winning revision/);
    assert.match(await others.innerText(), /single-node\.tar\.gz not there/);
    await open(page, address(MONDAY, "orders", "order-2026-000417"));
    await follow(page, "compare", others);
    assert.deepEqual(await title(page), ["order-2026-000417", "Compare"]);
  }),
);
