// Backups over time: a database as of any backup, the versions of a document, and the commands for them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { merged, attachmentChanges } from "../../engine/serve/page/versions.js";
import { bringBack, command, get, quote } from "../../engine/serve/page/shell.js";
import { address, backups, follow, leave, look, names, number, open, settled, shop, title, travel } from "./browser.mjs";

const { COUCHCOPY_PAGE_COMMAND } = process.env;
const NIGHTLY = "nightly";
const HOURLY = "hourly";
const ORDER = "order-2026-000417";

/** The address of something in a backup of a repository, by its position. */
async function inBackup(name, at, ...parts) {
  const backup = (await backups(name)).at(at);
  return `#/${[backup.reference, ...parts.map(encodeURIComponent)].join("/")}`;
}

function timeline(page) {
  return page.getByRole("navigation", { name: "Backups over time" });
}

/** The position of the backup that is marked as the one that is shown. */
async function current(page) {
  const marks = await timeline(page)
    .getByRole("link")
    .evaluateAll((all) => all.map((its) => its.getAttribute("aria-current")));
  assert.equal(marks.filter((its) => its === "true").length, 1);
  return marks.indexOf("true");
}

/** Follows the link of the timeline at a position, unless that backup is shown. */
async function choose(page, at) {
  if ((await current(page)) === at) return;
  await leave(page);
  await timeline(page).getByRole("link").nth(at).click();
  await settled(page);
}

function winner(state, db, id) {
  const versions = shop[state][db].filter(({ _id }) => _id === id);
  return versions.at(-1);
}

function versionRows(page) {
  return page
    .getByRole("region", { name: "Versions over time" })
    .locator("tbody tr")
    .evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText.replace(/\s+/g, " ").trim())));
}

function day(backup) {
  const [, date, time] = /^(.*)T(.*)Z$/.exec(backup.date);
  return `${date} ${time} UTC`;
}

test(
  "a repository is shown as its newest backup, and a database as of any other",
  look(async (page) => {
    const all = await backups(NIGHTLY);
    assert.equal(all.length, 6);
    await open(page, "#/");
    assert.match(await page.getByRole("main").innerText(), /nightly\s+.*the newest of 6 backups/);
    await follow(page, NIGHTLY);
    assert.equal(await current(page), 5);
    assert.deepEqual(await names(page), ["orders", "products"]);
    // Of Monday.
    await choose(page, 0);
    assert.equal(await current(page), 0);
    assert.deepEqual((await title(page))[0], `nightly, ${day(all[0])}`);
    assert.deepEqual(await names(page), Object.keys(shop.monday).sort());
    await follow(page, "orders");
    const ids = (state) =>
      [...new Set(shop[state].orders.map(({ _id }) => _id))].filter((id) => !winner(state, "orders", id)._deleted);
    for (const [at, state] of ["monday", "monday", "tuesday", "tuesday", "wednesday", "wednesday"].entries()) {
      await choose(page, at);
      assert.equal(await current(page), at);
      assert.deepEqual(await names(page), ids(state).sort(), state);
    }
    // The list stays the same one.
    await open(page, (await inBackup(NIGHTLY, 4, "orders")) + "?list=deleted");
    assert.deepEqual(await names(page), ["order-2026-000405"]);
    await choose(page, 1);
    assert.match(await page.getByRole("main").innerText(), /This database has no deleted documents/);
    // A database that is not there in every backup.
    await open(page, await inBackup(NIGHTLY, 5, "stock"));
    assert.match(await page.getByRole("main").innerText(), /Not in this archive/);
    await choose(page, 0);
    assert.deepEqual(await names(page), ["shelf-1"]);
  }),
);

test(
  "a document is shown as of any backup",
  look(async (page) => {
    await open(page, await inBackup(NIGHTLY, 5, "orders", ORDER));
    for (const [at, state] of ["monday", "monday", "tuesday", "tuesday", "wednesday", "wednesday"].entries()) {
      await choose(page, at);
      const shown = JSON.parse(
        await page.getByRole("region", { name: "Content" }).locator("pre").first().innerText(),
      );
      assert.equal(shown._rev, winner(state, "orders", ORDER)._rev);
    }
    await travel(page, "back");
    assert.equal(await current(page), 4);
  }),
);

test(
  "the versions of a document with the backups in which each was the current one",
  look(async (page) => {
    const all = await backups(NIGHTLY);
    await open(page, address(NIGHTLY, "orders", ORDER));
    const [monday, tuesday, wednesday] = ["monday", "tuesday", "wednesday"].map((its) => winner(its, "orders", ORDER));
    const rows = await versionRows(page);
    assert.deepEqual(
      rows.map(([version, time]) => [version, time]),
      [
        [wednesday._rev, `${day(all[4])} to ${day(all[5])}`],
        [tuesday._rev, `${day(all[2])} to ${day(all[3])}`],
        [monday._rev, `${day(all[0])} to ${day(all[1])}`],
        [
          `1-${monday._revisions.ids[1]}`,
          `never the current revision; kept ${day(all[0])} to ${day(all[3])}`,
        ],
      ],
    );
    assert.match(await page.getByRole("main").innerText(), /6 backups of 6 searched/);
    // Each leads to where it can be read.
    for (const { _rev, paid } of [tuesday, monday]) {
      await follow(page, _rev, page.getByRole("region", { name: "Versions over time" }));
      const shown = JSON.parse(
        await page.getByRole("region", { name: "Content" }).locator("pre").first().innerText(),
      );
      assert.deepEqual([shown._rev, shown.paid], [_rev, paid]);
      await travel(page, "back");
    }
  }),
);

test(
  "a deleted document has versions, also where it is not there",
  look(async (page) => {
    const all = await backups(NIGHTLY);
    const id = "order-2026-000405";
    await open(page, address(NIGHTLY, "orders", id));
    const [deletion, before] = await versionRows(page);
    assert.match(deletion[0], /^2-[0-9a-f]{32} deleted$/);
    assert.equal(deletion[1], `${day(all[4])} to ${day(all[5])}`);
    assert.deepEqual(before.slice(0, 2), [winner("tuesday", "orders", id)._rev, `${day(all[0])} to ${day(all[3])}`]);
    assert.match(
      await page.getByRole("region", { name: "Commands" }).innerText(),
      /To bring the document back, open an earlier version/,
    );
    // Tuesday's files do not know it.
    await open(page, await inBackup(NIGHTLY, 3, "orders", "order-2026-000401"));
    assert.match(await page.getByRole("main").innerText(), /Not in this archive/);
    assert.equal((await versionRows(page)).length, 1);
  }),
);

test(
  "two versions side by side, with their attachments",
  look({ acceptDownloads: true }, async (page) => {
    await open(page, address(NIGHTLY, "products", "chair"));
    const [fresh, old] = await versionRows(page);
    assert.match(fresh[3], /chair\.png .* changed/);
    assert.match(fresh[3], /price list\.csv .* new/);
    assert.match(fresh[3], /offer\.html removed/);
    assert.doesNotMatch(fresh[3], /model\.bin [\d.]+ \w+ (changed|new)/);
    assert.match(old[3], /offer\.html/);
    const versions = page.getByRole("region", { name: "Versions over time" });
    const picture = shop.monday.products[0]._attachments["chair.png"].data;
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      versions.getByRole("link", { name: `Download chair.png of ${shop.monday.products[0]._rev}` }).click(),
    ]);
    assert.equal(readFileSync(await download.path()).toString("base64"), picture);
    // The newest two are chosen.
    await leave(page);
    await page.getByRole("button", { name: "Compare A with B" }).click();
    await settled(page);
    const result = page.getByRole("region", { name: "Differences" });
    assert.match(await result.innerText(), /B was made of A, by 1 change/);
    const changes = (await result.getByRole("list", { name: "Attachments" }).getByRole("listitem").allInnerTexts()).map(
      (text) => text.replace(/\s+/g, " "),
    );
    assert.ok(changes.some((text) => /chair\.png differs\. Download A \(.*\) B \(.*\)/.test(text)), changes);
    assert.ok(changes.some((text) => /offer\.html only in A\. Download A/.test(text)), changes);
    assert.ok(changes.some((text) => /price list\.csv only in B\. Download B/.test(text)), changes);
    assert.ok(changes.some((text) => /model\.bin is the same/.test(text)), changes);
    const lines = await result.getByRole("list", { name: "Differences" }).innerText();
    assert.match(lines, /"wood": "beech"/);
    assert.match(lines, /"wood": "oak"/);
    // Another backup is chosen in the form.
    const all = await backups(NIGHTLY);
    await page.getByRole("group", { name: "A" }).getByLabel("Archive").selectOption(all[4].reference);
    await leave(page);
    await page.getByRole("button", { name: "Compare", exact: true }).click();
    await settled(page);
    assert.match(await result.innerText(), /Both are the same revision/);
  }),
);

test(
  "many backups are shown in parts",
  look(async (page) => {
    const all = await backups(HOURLY);
    const asked = [];
    page.on("request", (request) => asked.push(new URL(request.url())));
    await open(page, address(HOURLY));
    const ticks = timeline(page).getByRole("link");
    assert.equal(await ticks.count(), 40);
    assert.match(await timeline(page).innerText(), /Backup 45 of 45 is shown/);
    await timeline(page).getByRole("button", { name: "Older backups" }).click();
    await settled(page);
    assert.equal(await ticks.count(), 5);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), `#/${all[4].reference}`);
    assert.ok(await timeline(page).getByRole("button", { name: "Older backups" }).isDisabled());
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowRight");
    await settled(page);
    await page.waitForFunction(
      (href) => document.activeElement.getAttribute("href") === href,
      `#/${all[5].reference}`,
    );
    // The last one of a day.
    const wanted = all.filter(({ date }) => date.slice(0, 10) <= all[20].date.slice(0, 10)).at(-1);
    await timeline(page).getByLabel("Go to the day").fill(wanted.date.slice(0, 10));
    await timeline(page).getByRole("button", { name: "Go", exact: true }).click();
    await settled(page);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), `#/${wanted.reference}`);
    const lists = asked.filter(({ pathname }) => pathname.endsWith("/_backup/backups"));
    assert.ok(lists.every(({ searchParams }) => Number(searchParams.get("limit")) <= 40));

    // The versions of a document are searched page by page as well.
    const [db] = await names(page);
    await follow(page, db);
    const [doc] = await names(page);
    await follow(page, doc);
    const main = page.getByRole("main");
    assert.match(await main.innerText(), /16 backups of 45 searched/);
    const [, time] = (await versionRows(page))[0];
    assert.equal(time, `${day(all[29])} to ${day(all[44])}`);
    for (const searched of [32, 45]) {
      await page.getByRole("button", { name: "Search older backups" }).click();
      await settled(page);
      assert.match(await main.innerText(), new RegExp(`${searched} backups of 45 searched`));
    }
    assert.equal((await versionRows(page))[0][1], `${day(all[0])} to ${day(all[44])}`);
    assert.equal(await page.getByRole("button", { name: "Search older backups" }).count(), 0);
  }),
);

test(
  "the timeline is used with the keyboard, and read out",
  look(async (page) => {
    const all = await backups(NIGHTLY);
    await open(page, address(NIGHTLY, "orders", ORDER));
    const tree = await page.locator("body").ariaSnapshot();
    for (const part of ['navigation "Backups over time"', 'region "Versions over time"', 'region "Commands"'])
      assert.ok(tree.includes(part), `${part} is not in\n${tree}`);
    // The tab key leads to one link of the timeline.
    const reachable = await timeline(page)
      .getByRole("link")
      .evaluateAll((links) => links.filter((its) => its.tabIndex === 0).length);
    assert.equal(reachable, 1);
    const focusHref = () => page.evaluate(() => document.activeElement.getAttribute("href"));
    for (let n = 0; (await focusHref()) !== (await inBackup(NIGHTLY, 5, "orders", ORDER)); n += 1) {
      assert.ok(n < 20, "the tab key does not lead to the timeline");
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("ArrowRight");
    assert.equal(await focusHref(), await inBackup(NIGHTLY, 5, "orders", ORDER));
    for (const key of ["ArrowLeft", "ArrowLeft", "ArrowLeft"]) await page.keyboard.press(key);
    assert.equal(await focusHref(), await inBackup(NIGHTLY, 2, "orders", ORDER));
    await leave(page);
    await page.keyboard.press("Enter");
    await settled(page);
    // It goes on from there.
    assert.equal(await current(page), 2);
    assert.equal(await focusHref(), await inBackup(NIGHTLY, 2, "orders", ORDER));
    await page.keyboard.press("Home");
    await leave(page);
    await page.keyboard.press("Enter");
    await settled(page);
    assert.deepEqual((await title(page)).at(-1), `nightly, ${day(all[0])}`);
  }),
);

/** What a shell makes of a command: its arguments. */
function words(line, shell = "bash") {
  const script = `couchcopy() { for its in "$@"; do printf '%s\\0' "$its"; done; }\n${line}`;
  const text = execFileSync(shell, ["-c", script]).toString();
  return text.split("\0").slice(0, -1);
}

test("commands mean to a shell what they are to mean, whatever is in a name", () => {
  const names = [
    "plain",
    "it's",
    'a"b`c$(touch /tmp/pwned)$HOME',
    "--doc",
    "-",
    " blanks ",
    "a\nb\u0003\u0015rm -rf\t\u001b[31m\u007f",
    "\u202egpj.exe",
    "back\\slash and 'quotes'\u0001",
    "\\'\u200b",
    "~root",
    "=ls",
    "a*b?[c]{d,e}!f#g&h;i|j>k<l",
    "Zoë 🛋️ \ufeff",
  ];
  for (const name of names) {
    assert.deepEqual(words(`couchcopy ${quote(name)}`), [name]);
    const archive = { location: "/mnt/it's here::20261123", flags: ["--identity=/key file"] };
    assert.deepEqual(words(get(archive, "a/b", name, "1-a")), [
      "get",
      "--identity=/key file",
      "--rev=1-a",
      ...(name.startsWith("-") ? ["--"] : []),
      "/mnt/it's here::20261123",
      "a/b",
      name,
    ]);
    assert.deepEqual(words(bringBack(archive, "00000000-ffffffff=7", "a/b", name, "admin@localhost:5984")), [
      "restore",
      "--identity=/key file",
      "--db=a/b",
      "--rewind",
      `--doc=${name}`,
      "--at-seq=00000000-ffffffff=7",
      "/mnt/it's here::20261123",
      "admin@localhost:5984",
    ]);
    // Nothing in it is a key to a terminal.
    assert.doesNotMatch(command("couchcopy", name), /[\u0000-\u001f\u007f-\u009f]/);
  }
  assert.equal(get({ location: "/a", flags: [] }, "db", "a\0b", "1-a"), null);
  assert.equal(get({ location: null, flags: [] }, "db", "a", "1-a"), null);
});

test(
  "the command that is copied prints the version",
  look({ permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    for (const [at, db, id] of [
      [5, "orders", ORDER],
      [1, "products", "chair"],
      [0, "odd-names", '"quoted" \\ back'],
      [0, "odd-names", "\u202egpj.exe"],
      [0, "odd-names", "\u0001control"],
    ]) {
      await open(page, await inBackup(NIGHTLY, at, db, id));
      const commands = page.getByRole("region", { name: "Commands" });
      await commands.getByRole("button", { name: "Copy the command that prints this version" }).click();
      await page.getByRole("status").filter({ hasText: "Copied" }).waitFor({ state: "attached" });
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      const script = `couchcopy() { "$COUCHCOPY_PAGE_COMMAND" "$@"; }\n${copied}`;
      const printed = JSON.parse(
        execFileSync("bash", ["-c", script], { env: { ...process.env, COUCHCOPY_PAGE_COMMAND } }).toString(),
      );
      assert.equal(printed._id, id);
      const shown = await page.getByRole("region", { name: "Content" }).locator("pre").first().innerText();
      assert.equal(printed._rev, JSON.parse(shown)._rev);
    }
  }),
);

test(
  "the command that brings a version back names the backup in which it was the current one",
  look(async (page) => {
    const all = await backups(NIGHTLY);
    const back = page.getByRole("region", { name: "Bring this version back" });
    await open(page, await inBackup(NIGHTLY, 3, "orders", ORDER));
    const told = words(await back.innerText());
    assert.deepEqual(told.slice(0, -2), ["restore", "--db=orders", "--rewind", `--doc=${ORDER}`]);
    assert.match(told.at(-2), new RegExp(`/nightly::${all[3].id}$`));
    assert.equal(told.at(-1), "admin@localhost:5984");
    // Monday's version is among the ancestors in Tuesday's backup: there another one is the current one.
    const monday = winner("monday", "orders", ORDER)._rev;
    await open(page, `${await inBackup(NIGHTLY, 3, "orders", ORDER)}?rev=${monday}`);
    assert.match(words(await back.innerText()).at(-2), new RegExp(`/nightly::${all[1].id}$`));
    await page.getByLabel("Node of the cluster").fill("root@db1:5984");
    assert.equal(words(await back.innerText()).at(-1), "root@db1:5984");
    // It is remembered.
    await open(page, await inBackup(NIGHTLY, 0, "products", "chair"));
    assert.equal(words(await back.innerText()).at(-1), "root@db1:5984");
    // One that never was the current one cannot be brought back.
    const first = `1-${winner("monday", "orders", ORDER)._revisions.ids[1]}`;
    await open(page, `${await inBackup(NIGHTLY, 3, "orders", ORDER)}?rev=${first}`);
    assert.match(
      await page.getByRole("region", { name: "Commands" }).innerText(),
      /No saved state has this version as the current one/,
    );
  }),
);

test(
  "a version between two backups is shown in the state of its file",
  look(async (page) => {
    const single = number("single-node.tar.gz");
    await open(page, address("single-node.tar.gz", "deleted", "d0"));
    const [deletion, before] = await versionRows(page);
    assert.match(deletion[0], /^2-[0-9a-f]{32} deleted$/);
    assert.match(before[1], /^sequence \d+$/);
    await follow(page, before[0], page.getByRole("region", { name: "Versions over time" }));
    const found = /~([0-9a-f]{8}-[0-9a-f]{8})~(\d+)\//.exec(decodeURIComponent(new URL(page.url()).hash));
    assert.equal(`sequence ${found[2]}`, before[1]);
    const content = page.getByRole("region", { name: "Content" }).locator("pre").first();
    assert.equal(JSON.parse(await content.innerText())._rev, before[0]);
    assert.match(await timeline(page).innerText(), /An earlier state in backup \d of \d is shown/);
    const back = words(await page.getByRole("region", { name: "Bring this version back" }).innerText());
    assert.ok(back.includes(`--at-seq=${found[1]}=${found[2]}`), back);
    // The database is shown as it was saved.
    await follow(page, "deleted");
    assert.equal(new URL(page.url()).hash, `#/${single}/deleted`);
  }),
);

test(
  "several archives are a timeline as well",
  look(async (page) => {
    await open(page, address("monday.tar.gz", "orders", ORDER));
    const links = await timeline(page).getByRole("link").allInnerTexts();
    const position = (name) => links.findIndex((its) => its.includes(name));
    assert.ok(position("monday.tar.gz") < position("tuesday.tar.gz"));
    // Its date has no zone.
    assert.equal(links[0].replace(/\s+/g, " "), "2026-11-22 13:47:46 couchcopy-0.2.4.tar.gz");
    assert.equal(await current(page), position("monday.tar.gz"));
    await choose(page, position("tuesday.tar.gz"));
    assert.match(await page.locator("pre").first().innerText(), new RegExp(winner("tuesday", "orders", ORDER)._rev));
    assert.equal((await versionRows(page)).length, 3);
  }),
);

test(
  "what names no backup is told as such",
  look(async (page) => {
    const [{ reference }] = await backups(NIGHTLY);
    const main = page.getByRole("main");
    for (const wrong of [`${reference}x`, `${number(NIGHTLY)}~x`, `${reference.slice(0, -1)}_`, "1~x", `${reference}~x`]) {
      // The server's answer to it is told by the browser in its console.
      await page.route("**/backups?*", (route) => route.fulfill({ status: 404, json: { error: "not_found", reason: "x" } }));
      await open(page, `#/${wrong}/orders`);
      assert.match(await main.innerText(), /There is no such page|could not be read/, wrong);
      await page.unroute("**/backups?*");
    }
  }),
);

test("answers about several parts of a repository are put together", () => {
  const seen = (sequence, date) => ({ sequence, since: null, reference: date && `1~${date}`, date });
  const version = (rev, first, last, shown) => ({
    rev,
    first,
    last,
    at: { reference: `at ${last.date}` },
    shown: shown ? { first, last, at: { reference: `at ${last.date}` } } : null,
  });
  const newer = [
    version("2-a", seen(7, "d5"), seen(9, "d6"), true),
    version("1-a", seen(3, null), seen(6, null), true),
  ];
  const older = [
    version("2-a", seen(7, "d4"), seen(8, "d4"), true),
    version("1-a", seen(3, "d1"), seen(6, "d3"), true),
    version("1-b", seen(2, null), seen(2, null), false),
  ];
  const all = merged(newer, older);
  assert.deepEqual(
    all.map(({ rev, first, last, shown }) => [rev, first.date, last.date, shown?.at.reference]),
    [
      ["2-a", "d4", "d6", "at d6"],
      ["1-a", "d1", "d3", "at d3"],
      ["1-b", null, null, undefined],
    ],
  );
  assert.deepEqual(merged(all, []), all);
});

test("attachments are compared by what they hold", () => {
  const of = (name, digest, type = "a/b") => ({ name, digest, content_type: type, length: 1 });
  const changes = attachmentChanges(
    [of("a", "1"), of("b", "1"), of("c", "1"), of("d", undefined), of("e", "1")],
    [of("a", "1"), of("b", "2"), of("d", undefined), of("e", "1", "c/d"), of("f", "1")],
  );
  assert.deepEqual(
    changes.map(({ name, change }) => [name, change]),
    [
      ["a", "same"],
      ["b", "changed"],
      ["c", "removed"],
      ["d", "changed"],
      ["e", "changed"],
      ["f", "new"],
    ],
  );
});
