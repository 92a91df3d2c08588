// A browser that looks at the page, and complains of what no test is to see.
//
// COUCHCOPY_PAGE names the page, COUCHCOPY_PAGE_MODULES the folder that holds node_modules,
// COUCHCOPY_PAGE_BROWSER the browser, COUCHCOPY_PAGE_PICTURES the folder for screenshots.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before } from "node:test";
import { gunzipSync } from "node:zlib";

const { COUCHCOPY_PAGE, COUCHCOPY_PAGE_MODULES, COUCHCOPY_PAGE_BROWSER, COUCHCOPY_PAGE_PICTURES } =
  process.env;
const require = createRequire(`${COUCHCOPY_PAGE_MODULES}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** It is to do nothing but what a test asks it for. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Where the archives are to be read from, below the page: the page asks for them in no other way than by
 * pages.
 */
const LISTS = /\/(_all_dbs|_all_docs|_design_docs|_local_docs|_changes)$/;

/** What HTTP said of the fixture. */
export const oracle = read(import.meta.resolve("../data/single-node.json.gz"), gunzipSync);
/** What is in `monday.tar.gz` and `tuesday.tar.gz`. */
export const shop = read(import.meta.resolve("./shop.json"), (bytes) => bytes);

function read(url, unpack) {
  return JSON.parse(unpack(readFileSync(new URL(url))));
}

let browser;
let served;

before(async () => {
  browser = await chromium.launch({ executablePath: COUCHCOPY_PAGE_BROWSER, args: ARGUMENTS });
  served = await (await fetch(new URL("archives", COUCHCOPY_PAGE))).json();
});
after(() => browser.close());

/** The number of an archive, by the end of its name. */
export function number(name) {
  const found = served.find((archive) => archive.name.endsWith(name));
  assert.ok(found, `${name} is not served: ${served.map((archive) => archive.name)}`);
  return found.number;
}

/** The backups of a repository, the oldest first. */
export async function backups(name) {
  const url = new URL(`backups?archive=${number(name)}&limit=500`, COUCHCOPY_PAGE);
  return (await (await fetch(url)).json()).backups;
}

/** The address of something in an archive, by the parts of it. */
export function address(archive, ...parts) {
  return `#/${[number(archive), ...parts.map(encodeURIComponent)].join("/")}`;
}

/** Runs a test on a fresh page, and fails where the page did what it must not. */
export function look(options, run) {
  if (typeof options === "function") return look({}, options);
  return async () => {
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
    const page = await context.newPage();
    const wrong = watch(page);
    try {
      await run(page);
      assert.equal(
        await page.evaluate(() => globalThis.pwned),
        undefined,
        "something out of a backup was run",
      );
    } finally {
      await context.close();
    }
    assert.deepEqual(wrong, []);
  };
}

function watch(page) {
  const wrong = [];
  const origin = new URL(COUCHCOPY_PAGE).origin;
  page.on("pageerror", (error) => wrong.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => wrong.push(`dialog: ${dialog.message()}`));
  page.on("console", (message) => {
    // An answer that something is not there is told by the browser as well.
    if (message.type() === "error" && !message.text().includes("404"))
      wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && url.protocol !== "blob:") wrong.push(`asked elsewhere: ${url}`);
    if (url.pathname.endsWith("/pwned")) wrong.push("something out of a backup was run");
    if (LISTS.test(url.pathname) && !url.searchParams.has("limit") && !url.searchParams.has("keys")) {
      wrong.push(`asked for a whole list: ${url}`);
    }
    if (url.searchParams.has("skip")) wrong.push(`skipped what it could have passed by: ${url}`);
  });
  return wrong;
}

/** Goes to an address of the page by hand, and waits for what is there. */
export async function open(page, hash) {
  const url = new URL(hash, COUCHCOPY_PAGE).href;
  if (page.url() === "about:blank") {
    await page.goto(url);
  } else {
    await leave(page);
    await page.evaluate((its) => {
      location.hash = its;
    }, hash);
  }
  await settled(page);
}

/** Waits until the view is there with all that it asks for by and by. */
export async function settled(page) {
  await page.locator("h1").waitFor();
  await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
}

/** Takes away by what `settled` tells a view: what comes is another one. */
export async function leave(page) {
  await page.evaluate(() => document.querySelector("h1").remove());
}

/** Goes back or forth in the browser's history. */
export async function travel(page, way) {
  await leave(page);
  await (way === "back" ? page.goBack() : page.goForward());
  await settled(page);
}

/** Follows a link, and waits for where it leads. */
export async function follow(page, name, within = page) {
  await leave(page);
  await within.getByRole("link", { name, exact: true }).first().click();
  await settled(page);
}

/** What the browser's title says, without the program's name. */
export async function title(page) {
  return (await page.title()).split(" · ").slice(0, -1);
}

/** Texts of the first column of the list that is shown. */
export function names(page) {
  return page.getByRole("rowheader").allInnerTexts();
}

/** Fails where what is shown is not accessible, by rules that a program can check. */
export async function checkAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  const told = violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html}\n${failureSummary}`),
  );
  assert.deepEqual(told, [], what);
}

/** Fails where something is wider than the window. */
export async function checkFits(page, what) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= window, `${what}: ${wide} wide in a window of ${window}`);
}

/** Takes a picture of all of the page, or of the window, if somebody wants it. */
export async function picture(page, name, fullPage = false) {
  if (!COUCHCOPY_PAGE_PICTURES) return;
  await page.screenshot({
    path: join(COUCHCOPY_PAGE_PICTURES, `${name}.png`),
    fullPage,
    animations: "disabled",
    caret: "initial",
  });
}
