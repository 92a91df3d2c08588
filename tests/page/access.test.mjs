// That everybody can use the page: what a program can check of it, and a way through it by keyboard alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  address,
  backups,
  checkAccessible,
  checkFits,
  leave,
  look,
  number,
  open,
  picture,
  settled,
  title,
  travel,
} from "./browser.mjs";

const SINGLE = "single-node.tar.gz";
const MONDAY = "monday.tar.gz";
const CONFLICT = "?rev=2-bb";

function comparison() {
  return `#/compare/orders/order-2026-000417?a=${number(MONDAY)}&b=${number("tuesday.tar.gz")}`;
}

async function preview(page) {
  for (const name of ["chair.png", "care/how to oil it.txt"]) {
    await page.getByRole("button", { name: `Preview ${name}` }).click();
    await page.locator(`[aria-label="Text of ${name}"], [alt="Preview of ${name}"]`).waitFor();
  }
  await page.evaluate(() => scrollTo(0, 0));
}

/** Two versions of a product in a repository. */
async function comparisonOfBackups() {
  const [first, ...others] = await backups("nightly");
  return `#/compare/products/chair?a=${first.reference}&b=${others.at(-1).reference}`;
}

async function toVersions(page) {
  await page.getByRole("heading", { name: "Versions over time" }).scrollIntoViewIfNeeded();
  await page.evaluate(() => document.getElementById("versions").scrollIntoView());
}

/** Every view: what its picture is called, where it is, and what is done there first. */
const VIEWS = [
  ["archives", () => "#/"],
  ["databases", () => address(SINGLE)],
  ["databases-none", () => `${address(SINGLE)}?prefix=nix`],
  ["documents", () => address(MONDAY, "orders")],
  ["documents-odd", () => address(MONDAY, "odd-names")],
  ["documents-page", () => `${address(SINGLE, "plain")}?start=doc-00050`],
  ["documents-deleted", () => `${address(SINGLE, "deleted")}?list=deleted`],
  ["about", () => `${address(SINGLE, "secure")}?list=about`],
  ["document", () => address(MONDAY, "orders", "order-2026-000417")],
  ["conflict", () => address(MONDAY, "prices", "chair")],
  ["conflict-other", () => address(SINGLE, "conflicts", "c") + CONFLICT],
  ["attachments", () => address(MONDAY, "products", "chair"), preview],
  ["long-id", () => `#/${number(MONDAY)}/odd-names/long-${"0123456789abcdef".repeat(30)}`],
  ["missing", () => address(MONDAY, "orders", "nix")],
  ["nowhere", () => "#/99"],
  ["timeline", () => address("nightly", "orders")],
  ["versions", () => address("nightly", "products", "chair"), toVersions],
  ["compare", comparison],
  ["compare-backups", comparisonOfBackups],
  ["compare-none", () => "#/compare"],
];

/** Of these the picture shows the whole page. */
const WHOLE = ["compare", "compare-backups"];

for (const [name, where, prepare] of VIEWS) {
  for (const colorScheme of ["light", "dark"]) {
    test(
      `${name}, ${colorScheme}, is accessible`,
      look({ colorScheme }, async (page) => {
        await open(page, await where());
        await prepare?.(page);
        await checkAccessible(page, name);
        await picture(page, colorScheme === "light" ? name : `${name}-dark`, WHOLE.includes(name));
      }),
    );
  }
  // 320 is what is left of a window of 1280 at four times the size.
  test(
    `${name} fits into a narrow window`,
    look({ viewport: { width: 320, height: 640 }, colorScheme: "dark" }, async (page) => {
      await open(page, await where());
      await prepare?.(page);
      await checkFits(page, name);
      await checkAccessible(page, name);
      await picture(page, `${name}-narrow-dark`);
      await page.setViewportSize({ width: 600, height: 400 });
      await checkFits(page, name);
    }),
  );
}

test("where couchcopy has ended, the page says so and can try again", async () => {
  // What the browser tells of it in its console is no fault of the page.
  const run = look(async (page) => {
    await open(page, address(MONDAY));
    await page.route("**/orders", (route) =>
      route.fulfill({ status: 500, json: { error: "damaged", reason: "a block is damaged" } }),
    );
    await open(page, address(MONDAY, "orders"));
    assert.match(await page.getByRole("alert").innerText(), /a block is damaged\s+Answer 500, damaged/);
    await checkAccessible(page, "an error");
    await page.unroute("**/orders");
    await page.route("**/orders", (route) => route.abort());
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Is couchcopy serve still running?").waitFor();
    await page.unroute("**/orders");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "orders" }).waitFor();
  });
  await assert.rejects(run, ({ actual }) => {
    assert.equal(actual.length, 2);
    return actual.every((line) => /console: Failed to load resource/.test(line));
  });
});

test(
  "parts have names that can be read out",
  look(async (page) => {
    await open(page, address(MONDAY, "prices", "chair"));
    const tree = await page.locator("body").ariaSnapshot();
    for (const part of [
      'link "Skip to the content"',
      "- banner:",
      'navigation "Breadcrumb"',
      "- main",
      'heading "chair" [level=1]',
      'region "Content"',
      'region "Revisions"',
      'region "Earlier revisions"',
      'region "In other archives"',
    ])
      assert.ok(tree.includes(part), `${part} is not in\n${tree}`);
  }),
);

/** What has the focus: its name as it is read out, and that one can see it. */
async function focused(page) {
  const found = await page.evaluate(() => {
    const its = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(its);
    const label = its.labels?.[0]?.innerText ?? its.getAttribute("aria-label") ?? its.innerText;
    const { top, bottom } = its.getBoundingClientRect();
    return {
      name: label.trim(),
      tag: its.tagName,
      seen: outlineStyle !== "none" && outlineWidth !== "0px",
      top,
      bottom,
    };
  });
  return found;
}

/** Goes on with the tab key until something of this name has the focus. */
async function tabTo(page, name, key = "Tab") {
  for (let n = 0; n < 100; n += 1) {
    await page.keyboard.press(key);
    const found = await focused(page);
    assert.ok(found.tag === "BODY" || found.seen, `one does not see that ${found.name} has the focus`);
    if (found.name === name) {
      assert.ok(
        found.top >= 0 && found.bottom <= (await page.viewportSize()).height,
        `${name} is out of sight`,
      );
      return;
    }
  }
  assert.fail(`the tab key does not lead to ${name}`);
}

/** Follows the link that has the focus, and looks where the focus is then. */
async function enter(page, heading) {
  await leave(page);
  await page.keyboard.press("Enter");
  await settled(page);
  const { name, tag } = await focused(page);
  assert.match(tag, /^H[12]$/);
  assert.equal(name, heading);
}

test(
  "everything can be done with the keyboard",
  look(async (page) => {
    await open(page, "#/");
    await page.keyboard.press("Tab");
    assert.equal((await focused(page)).name, "Skip to the content");
    assert.ok((await focused(page)).top >= 0);
    await page.keyboard.press("Enter");
    assert.equal((await focused(page)).tag, "MAIN");

    await tabTo(page, SINGLE);
    await enter(page, SINGLE);
    await tabTo(page, "Name begins with");
    await page.keyboard.type("conf");
    await settled(page);
    assert.match(await page.getByRole("status").innerText(), /^Databases: 1 that begin with conf/);
    await tabTo(page, "conflicts");
    await enter(page, "conflicts");
    await tabTo(page, "c");
    await enter(page, "c");
    await tabTo(page, "1 conflict");
    await page.keyboard.press("Enter");
    assert.equal((await focused(page)).name, "Revisions");
    await tabTo(page, "2-bb");
    await enter(page, "c");
    assert.deepEqual((await title(page))[0], "2-bb");
    await tabTo(page, "Compare the two");
    await enter(page, "Differences");

    // The winning revision instead, held against itself.
    await tabTo(page, "Compare", "Shift+Tab");
    await tabTo(page, "Revision", "Shift+Tab");
    await tabTo(page, "Revision", "Shift+Tab");
    await page.keyboard.press("Home");
    await tabTo(page, "Compare");
    await enter(page, "Differences");
    assert.match(await page.getByRole("region", { name: "Differences" }).innerText(), /No differences/);

    // Back to what was followed.
    await travel(page, "back");
    await travel(page, "back");
    assert.equal((await focused(page)).name, "Compare the two");
    await travel(page, "back");
    assert.equal((await focused(page)).name, "2-bb");
  }),
);

test(
  "attachments and what is folded can be opened with the keyboard",
  look(async (page) => {
    await open(page, address(MONDAY, "products", "chair"));
    await tabTo(page, "Preview chair.png");
    await page.keyboard.press("Enter");
    await page.getByRole("img", { name: "Preview of chair.png" }).waitFor();
    assert.equal(await page.getByRole("status").innerText(), "chair.png is shown");
    await page.keyboard.press("Space");
    assert.equal(await page.getByRole("img", { name: "Preview of chair.png" }).count(), 0);
    await open(page, address(MONDAY, "ledger", "ledger"));
    await tabTo(page, "Show 29 more");
    await page.keyboard.press("Enter");
    const { ids, start } = await page.evaluate(async () => {
      const its = await (
        await fetch(
          (await (await fetch("archives")).json()).find(({ name }) => name.endsWith("monday.tar.gz")).root +
            "ledger/ledger?revs=true",
        )
      ).json();
      return its._revisions;
    });
    assert.equal((await focused(page)).name.split(/\s/)[0], `${start - 11}-${ids[11]}`);
  }),
);
