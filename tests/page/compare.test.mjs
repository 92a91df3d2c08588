// Two versions of a document.

import assert from "node:assert/strict";
import { test } from "node:test";
import { address, follow, leave, look, number, open, settled, shop } from "./browser.mjs";

/** The differences as they are read out, without lines that are equal. */
async function differences(page) {
  const lines = await page.getByRole("list", { name: "Differences" }).getByRole("listitem").allTextContents();
  return lines
    .filter((line) => line.includes("only in"))
    .map((line) => line.replace(/^[−+]/, "").replace(/\s+/g, " "));
}

/** Chooses two archives and compares. */
async function compare(page, a, b) {
  await page
    .getByRole("group", { name: "A" })
    .getByLabel("Archive")
    .selectOption(String(number(a)));
  await page
    .getByRole("group", { name: "B" })
    .getByLabel("Archive")
    .selectOption(String(number(b)));
  await leave(page);
  await page.getByRole("button", { name: "Compare" }).click();
  await settled(page);
}

test(
  "two archives' versions of a document",
  look(async (page) => {
    await open(page, "#/");
    await follow(page, "Compare a document of two archives");
    await page.getByLabel("Database").fill("orders");
    await page.getByLabel("Document").fill("order-2026-000417");
    await compare(page, "monday.tar.gz", "tuesday.tar.gz");
    const [, old, fresh] = [
      0,
      ...[shop.monday, shop.tuesday].map(
        (its) => its.orders.filter(({ _id }) => _id === "order-2026-000417").at(-1)._rev,
      ),
    ];
    assert.deepEqual(await differences(page), [
      `only in A: "_rev": "${old}"`,
      `only in B: "_rev": "${fresh}"`,
      'only in A: "name": "Zoë Müller"',
      'only in B: "name": "Zoë Müller-Lang"',
      'only in A: "city": "Leeds"',
      'only in B: "city": "York"',
      'only in A: "post_code": "LS1 4AP"',
      'only in B: "post_code": "YO1 7HH"',
      'only in B: "country": "UK"',
      "only in B: {",
      'only in B: "sku": "C-3"',
      'only in B: "text": "Lamp"',
      'only in B: "price": 19',
      'only in B: "amount": 1',
      "only in B: }",
      'only in A: "paid": false',
      'only in B: "paid": true',
      ...totals(),
      'only in A: "tags": ["new", "web"]',
      'only in B: "tags": ["web"]',
      'only in A: "tracking": 12345678901234567890',
      'only in B: "tracking": 12345678901234567891',
      'only in B: "paid_on": "2026-07-21"',
    ]);
    const result = await page.getByRole("region", { name: "Differences" }).innerText();
    assert.match(result, /B was made of A, by 1 change\./);
    assert.match(result, /8 lines only in A, 16 lines only in B/);
  }),
);

function totals() {
  const [old, fresh] = [shop.monday, shop.tuesday].map(
    (its) => its.orders.filter(({ _id }) => _id === "order-2026-000417").at(-1).total,
  );
  return [`only in A: "total": ${old}`, `only in B: "total": ${fresh}`];
}

test(
  "two revisions of one archive",
  look(async (page) => {
    await open(page, address("single-node.tar.gz", "conflicts", "c"));
    await page.getByRole("link", { name: "Compare 2-bb with the winning revision" }).click();
    await page.getByRole("region", { name: "Differences" }).waitFor();
    assert.deepEqual(await differences(page), [
      'only in A: "_rev": "2-cc"',
      'only in B: "_rev": "2-bb"',
      'only in A: "v": 2',
      'only in B: "v": 1',
    ]);
    assert.match(
      await page.getByRole("region", { name: "Differences" }).innerText(),
      /Both were made of\s+1-aa/,
    );
    // The other way round.
    await page.getByRole("group", { name: "A" }).getByLabel("Revision").selectOption("2-bb");
    await page.getByRole("group", { name: "B" }).getByLabel("Revision").selectOption("");
    await leave(page);
    await page.getByRole("button", { name: "Compare" }).click();
    await settled(page);
    assert.deepEqual((await differences(page)).slice(0, 2), [
      'only in A: "_rev": "2-bb"',
      'only in B: "_rev": "2-cc"',
    ]);
  }),
);

test(
  "what is equal is folded, and unfolded",
  look(async (page) => {
    await open(page, `#/compare/ledger/ledger?a=${number("monday.tar.gz")}&b=${number("tuesday.tar.gz")}`);
    const told = await differences(page);
    const amount = shop.monday.ledger[0].lines[90].amount;
    assert.deepEqual(told.slice(2), [
      "only in A: {",
      'only in A: "n": 20',
      `only in A: "amount": ${shop.monday.ledger[0].lines[20].amount}`,
      "only in A: }",
      `only in A: "amount": ${amount}`,
      `only in B: "amount": ${amount + 1}`,
    ]);
    const list = page.getByRole("list", { name: "Differences" });
    const before = await list.getByRole("listitem").count();
    const fold = list.getByRole("button").first();
    const hidden = Number(/\d+/.exec(await fold.innerText())[0]);
    await fold.click();
    assert.equal(await list.getByRole("listitem").count(), before - 1 + hidden);
  }),
);

test(
  "the same, and what only one archive has",
  look(async (page) => {
    const at = (db, doc) =>
      `#/compare/${db}/${doc}?a=${number("monday.tar.gz")}&b=${number("tuesday.tar.gz")}`;
    const result = page.getByRole("region", { name: "Differences" });
    await open(page, at("prices", "chair"));
    assert.match(await result.innerText(), /Both are the same revision\.\s+No differences/);
    await open(page, at("stock", "shelf-1"));
    assert.match(await result.innerText(), /B: tuesday\.tar\.gz does not have it\./);
    assert.deepEqual((await differences(page)).at(-2), 'only in A: "n": 3');
    await open(page, at("nix", "nix"));
    assert.match(
      await result.innerText(),
      /A: monday\.tar\.gz does not have it\.\s+B: tuesday\.tar\.gz does not have it\./,
    );
    assert.equal(await page.getByRole("list", { name: "Differences" }).count(), 0);
  }),
);
