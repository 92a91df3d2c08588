// JSON and differences, without a browser: against JavaScript's own reader, and against what was compared.

import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, isEqual } from "../../engine/serve/page/diff.js";
import { lines, member, read, text, without } from "../../engine/serve/page/json.js";

/** Random numbers that are the same every time. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

const PLAIN = [
  "null",
  "true",
  "0",
  "-1.50",
  "1e99",
  "12345678901234567890",
  '""',
  '"a\\"b\\\\"',
  '"\\u202e"',
  '"{[,:]}"',
  '"é☃"',
];

function value(next, depth) {
  const kind = depth === 0 ? 0 : next(4);
  if (kind < 2) return PLAIN[next(PLAIN.length)];
  const blank = () => ["", " ", "\n  "][next(3)];
  const inner = Array.from(
    { length: next(6) },
    (_, at) =>
      (kind === 2 ? "" : `"${"abcdef"[next(6)]}${at}"${blank()}:`) +
      blank() +
      value(next, depth - 1) +
      blank(),
  );
  return kind === 2 ? `[${blank()}${inner.join(",")}]` : `{${blank()}${inner.join(",")}}`;
}

/** A value with some of its parts changed. */
function changed(next, its) {
  if (next(8) === 0) return JSON.parse(value(next, 2));
  if (Array.isArray(its)) {
    const items = its.flatMap((item) => [[item], [changed(next, item)], [], [item, item]][next(6)] ?? [item]);
    return items;
  }
  if (its === null || typeof its !== "object") return its;
  const members = Object.entries(its)
    .filter(() => next(6) > 0)
    .map(([name, item]) => [name, changed(next, item)]);
  if (next(3) === 0) members.push([`new${next(9)}`, next(9)]);
  if (next(3) === 0) members.reverse();
  return Object.fromEntries(members);
}

test("JSON is read as JavaScript does, and written the same", () => {
  const next = random(1);
  for (let n = 0; n < 3000; n += 1) {
    const given = value(next, 4);
    const tree = read(given);
    assert.ok(tree, given);
    assert.deepEqual(JSON.parse(text(tree)), JSON.parse(given));
    assert.equal(text(read(text(tree))), text(tree));
  }
});

test("what is no JSON is told as such", () => {
  const next = random(2);
  const others = ["", "{", "}", "[", "]", ",", ":", '"', "\\", "1", " "];
  for (let n = 0; n < 20000; n += 1) {
    const good = value(next, 3);
    const at = next(good.length);
    const bad = good.slice(0, at) + others[next(others.length)] + good.slice(at + next(3));
    let isJson = true;
    try {
      JSON.parse(bad);
    } catch {
      isJson = false;
    }
    const tree = read(bad);
    // What is within strings and words is left to those who write it.
    if (isJson) assert.ok(tree, bad);
    else if (tree) assert.throws(() => JSON.parse(text(tree)), bad);
  }
});

test("numbers, order and what occurs twice stay", () => {
  const given = '{"b": 12345678901234567890, "2": 1.0, "1": -0, "b": 1E400}';
  assert.equal(
    text(read(given)),
    '{\n  "b": 12345678901234567890,\n  "2": 1.0,\n  "1": -0,\n  "b": 1E400\n}',
  );
  assert.equal(member(read(given), "b").text, "1E400");
  assert.equal(text(without(read(given), ["b", "1"])), '{\n  "2": 1.0\n}');
});

test("what is too deep is not taken apart, and nothing breaks", () => {
  assert.equal(read("[".repeat(100_000) + "]".repeat(100_000)), null);
  assert.ok(read("[".repeat(300) + "]".repeat(300)));
  const long = `"${'\\"x'.repeat(3_000_000)}"`;
  assert.equal(read(long).text, long);
});

/** A value's lines, without their order. */
function sorted(tree) {
  const out = [];
  lines(tree, (depth, name, its) => out.push(`${depth} ${name} ${its}`));
  return out.sort();
}

test("of the differences, each side's lines make up that side", () => {
  const next = random(3);
  for (let n = 0; n < 5000; n += 1) {
    const first = JSON.parse(value(next, 4));
    const [before, after] = [first, changed(next, first)].map((its) => read(JSON.stringify(its)));
    const told = differences(before, after);
    const side = (sign) =>
      told
        .filter((line) => line.sign === " " || line.sign === sign)
        .map((line) => `${line.depth} ${line.name} ${line.text}`)
        .sort();
    assert.deepEqual(side("-"), sorted(before));
    assert.deepEqual(side("+"), sorted(after));
    assert.equal(
      told.every(({ sign }) => sign === " "),
      isEqual(before, after),
    );
  }
});

test("equal values have no differences, whatever the order of their members", () => {
  const [a, b] = ['{"a":[1,{"x":1,"y":2}],"b":null}', '{"b":null,"a":[1,{"y":2,"x":1}]}'].map(read);
  assert.ok(isEqual(a, b));
  assert.ok(differences(a, b).every(({ sign }) => sign === " "));
  for (const other of [
    '{"a":[1,{"x":1,"y":3}],"b":null}',
    '{"a":[1],"b":null}',
    '{"b":null}',
    "[]",
    '{"b":null,"a":[{"y":2,"x":1},1]}',
  ]) {
    assert.ok(!isEqual(a, read(other)), other);
  }
});

test("of a list, only what came or went is told", () => {
  const list = (items) => read(JSON.stringify(items.map((n) => ({ n, text: `item ${n}`, more: true }))));
  const all = Array.from({ length: 3000 }, (_, n) => n);
  const told = differences(list(all), list([-1, ...all.filter((n) => n !== 1500), 3000]));
  assert.deepEqual(
    told.filter(({ sign, name }) => sign !== " " && name === '"n"').map(({ sign, text: its }) => sign + its),
    ["+-1", "-1500", "+3000"],
  );
});
