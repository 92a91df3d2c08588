// Archives, databases and documents, page by page, against what HTTP said of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  address,
  follow,
  leave,
  look,
  names,
  open,
  oracle,
  settled,
  shop,
  title,
  travel,
} from "./browser.mjs";

const SINGLE = "single-node.tar.gz";
const FOREIGN = "couchcopy-0.2.4.tar.gz";
/** Rows of a page. */
const SIZE = 50;

/** The texts of a table's rows, cell by cell. */
function rows(page) {
  return page
    .locator("tbody tr")
    .evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));
}

/** Types a prefix, and waits until the list has followed. */
async function narrow(page, label, prefix) {
  await page.getByRole("searchbox", { name: label }).fill(prefix);
  await settled(page);
}

/** Ids that a database's `_all_docs` has, in its order. */
function living(name) {
  const docs = Object.entries(oracle[name].docs);
  const ids = docs.filter(([, leaves]) => leaves.some((leaf) => !leaf._deleted)).map(([id]) => id);
  return ids.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

test(
  "every archive is listed",
  look(async (page) => {
    await open(page, "#/");
    assert.deepEqual(await title(page), ["Archives"]);
    const facts = await page.locator(".cards > li").allInnerTexts();
    const line = facts.find((text) => text.includes(SINGLE));
    assert.match(line, /16 databases/);
    assert.match(line, /node couchdb41@127\.0\.0\.41/);
    assert.match(line, /^.*\n\d{4}-\d\d-\d\d \d\d:\d\d UTC/);
    await follow(page, SINGLE);
    assert.deepEqual(await title(page), [SINGLE]);
  }),
);

test(
  "an archive of the Python couchcopy is as good as any",
  look(async (page) => {
    await open(page, "#/");
    const facts = await page.locator(".cards > li").allInnerTexts();
    assert.match(
      facts.find((text) => text.includes(FOREIGN)),
      /without a table of contents, read in one pass/,
    );
    await follow(page, FOREIGN);
    assert.deepEqual(await names(page), Object.keys(oracle).sort());
    await follow(page, "conflicts");
    await follow(page, "c");
    assert.match(await page.locator("pre").first().innerText(), /"_rev": "2-cc"/);
  }),
);

test(
  "every database is listed with its counts",
  look(async (page) => {
    await open(page, address(SINGLE));
    const found = (await rows(page)).map(([name, docs, deleted]) => [
      name,
      Number(docs.replace(",", "")),
      Number(deleted),
    ]);
    const expected = Object.entries(oracle).map(([name, its]) => [name, its.doc_count, its.doc_del_count]);
    assert.deepEqual(found, expected.sort());
  }),
);

test(
  "databases are narrowed down, and the address tells it",
  look(async (page) => {
    await open(page, address(SINGLE));
    await narrow(page, "Name begins with", "p");
    assert.deepEqual(await names(page), ["parts", "plain", "purged"]);
    assert.match(await page.getByRole("status").innerText(), /^Databases: 3 /);
    await page.reload();
    await settled(page);
    assert.deepEqual(await names(page), ["parts", "plain", "purged"]);
    await narrow(page, "Name begins with", "name_with-all$(chars)+and/");
    assert.deepEqual(await names(page), ["name_with-all$(chars)+and/slash"]);
    await narrow(page, "Name begins with", "nix");
    assert.match(await page.locator(".list").innerText(), /No database in this archive begins with nix/);
    await narrow(page, "Name begins with", "");
    assert.equal((await names(page)).length, Object.keys(oracle).length);
  }),
);

test(
  "many databases are shown page by page",
  look(async (page) => {
    await open(page, address("many.tar.gz"));
    const first = await names(page);
    assert.equal(first.length, SIZE);
    await follow(page, "Next page");
    const second = await names(page);
    assert.equal(second.length, SIZE);
    assert.ok(second[0] > first.at(-1));
    await follow(page, "Previous page");
    assert.deepEqual(await names(page), first);
  }),
);

test(
  "documents are all there, page by page, forth and back",
  look(async (page) => {
    const ids = living("plain");
    await open(page, address(SINGLE, "plain"));
    for (let at = 0; ; at += SIZE) {
      assert.deepEqual(await names(page), ids.slice(at, at + SIZE));
      if (at + SIZE >= ids.length) break;
      await follow(page, "Next page");
    }
    assert.equal(await page.getByRole("link", { name: "Next page" }).count(), 0);
    for (let at = ids.length - 2 * SIZE; at >= ids.length - 4 * SIZE; at -= SIZE) {
      await follow(page, "Previous page");
      assert.deepEqual(await names(page), ids.slice(at, at + SIZE));
    }
    await follow(page, "First page");
    assert.deepEqual(await names(page), ids.slice(0, SIZE));
    assert.equal(await page.getByRole("link", { name: "Previous page" }).count(), 0);
  }),
);

test(
  "documents are found by how their ids begin",
  look(async (page) => {
    const ids = living("plain");
    await open(page, address(SINGLE, "plain"));
    await narrow(page, "Id begins with", "doc-0199");
    assert.deepEqual(
      await names(page),
      ids.filter((id) => id.startsWith("doc-0199")),
    );
    await narrow(page, "Id begins with", "doc-01");
    assert.deepEqual(await names(page), ids.filter((id) => id.startsWith("doc-01")).slice(0, SIZE));
    await follow(page, "Next page");
    assert.deepEqual(await names(page), ids.filter((id) => id.startsWith("doc-01")).slice(SIZE, 2 * SIZE));
    await follow(page, "doc-01077");
    assert.deepEqual(await title(page), ["doc-01077", "plain", SINGLE]);
  }),
);

test(
  "going back leads to where one was",
  look(async (page) => {
    await open(page, address(SINGLE, "plain"));
    await narrow(page, "Id begins with", "doc-01");
    await follow(page, "doc-01020");
    await travel(page, "back");
    assert.equal(await page.getByRole("searchbox").inputValue(), "doc-01");
    assert.equal(await page.evaluate(() => document.activeElement.innerText), "doc-01020");
    await travel(page, "forth");
    assert.deepEqual(await title(page), ["doc-01020", "plain", SINGLE]);
  }),
);

test(
  "an empty database says so",
  look(async (page) => {
    await open(page, address(SINGLE, "empty"));
    assert.match(await page.getByRole("main").innerText(), /This database has no documents/);
    await follow(page, "Deleted");
    assert.match(await page.getByRole("main").innerText(), /no deleted documents/);
  }),
);

test(
  "design and local documents have lists of their own",
  look(async (page) => {
    await open(page, address(SINGLE, "views"));
    await follow(page, "Design");
    assert.deepEqual(
      await names(page),
      living("views").filter((id) => id.startsWith("_design/")),
    );
    await narrow(page, "Id begins with _design/…", "dd");
    assert.deepEqual(await names(page), ["_design/dd"]);
    await follow(page, "_design/dd");
    assert.match(await page.locator("pre").first().innerText(), /proplists:get_value/);
    await open(page, address(SINGLE, "locals") + "?list=local");
    assert.ok((await names(page)).includes("_local/checkpoint"));
    await follow(page, "_local/checkpoint");
    assert.match(await page.locator("pre").first().innerText(), /"seq": 12/);
  }),
);

test(
  "deleted documents are found, each with what it was left with",
  look(async (page) => {
    const gone = Object.keys(oracle.deleted.docs).filter((id) =>
      oracle.deleted.docs[id].every((leaf) => leaf._deleted),
    );
    await open(page, address(SINGLE, "deleted"));
    await follow(page, "Deleted");
    const found = await names(page);
    while (await page.getByRole("link", { name: "Next page" }).count()) {
      await follow(page, "Next page");
      found.push(...(await names(page)));
    }
    assert.deepEqual(found.sort(), gone.sort());
    await follow(page, (await names(page))[0]);
    assert.match(await page.locator("pre").first().innerText(), /"why": "gone"/);
    assert.match(await page.getByRole("main").innerText(), /Deleted\. This is what the deletion left/);
  }),
);

test(
  "a database's security and shards are shown",
  look(async (page) => {
    await open(page, address(SINGLE, "secure"));
    await follow(page, "About");
    const text = await page.getByRole("main").innerText();
    assert.match(text, /"bob"[\s\S]*"alice"/);
    for (const range of oracle.secure.ranges) assert.ok(text.includes(range));
  }),
);

test(
  "what is not there is told as such",
  look(async (page) => {
    await open(page, address("tuesday.tar.gz", "stock"));
    const main = page.getByRole("main");
    assert.match(await main.innerText(), /Not in this archive/);
    assert.match(await main.innerText(), /monday\.tar\.gz 1 document/);
    await open(page, address("tuesday.tar.gz", "orders", "order-2026-000401"));
    assert.match(await main.innerText(), /Not in this archive/);
    await follow(page, "monday.tar.gz", main);
    assert.match(await main.innerText(), /"_id": "order-2026-000401"/);
    await open(page, "#/99");
    assert.match(await main.innerText(), /There is no such page/);
    await open(page, "#/%zz");
    assert.match(await main.innerText(), /There is no such page/);
  }),
);

test(
  "names that are not harmless are shown as they are",
  look(async (page) => {
    await open(page, address("monday.tar.gz", "odd-names"));
    const shown = await names(page);
    assert.equal(shown.length, shop.monday["odd-names"].length);
    assert.ok(shown.includes('<img src=x onerror="window.pwned=1">'));
    assert.ok(shown.includes("\\u202egpj.exe"));
    assert.ok(shown.includes("\\u0020blanks at both ends\\u0020"));
    for (const { _id, _rev } of shop.monday["odd-names"]) {
      const href = address("monday.tar.gz", "odd-names", _id);
      const link = page.locator(`tbody a[href="${CSS_escape(href)}"]`);
      await leave(page);
      await link.click();
      await settled(page);
      assert.match(await page.locator("pre").first().innerText(), new RegExp(`"_rev": "${_rev}"`), _id);
      await travel(page, "back");
    }
  }),
);

function CSS_escape(text) {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}
