// What differs between two JSON values, told by their structure: the order of members does not count, and of
// a list only what came or went is told.

import { lines, short } from "./json.js";

/** Between lists with more changes than this, only the common beginning and end are looked for. */
const MOST_CHANGES = 800;

/** How many items further on a changed one is looked for, and what part of it has to be equal. */
const NEAR = 20;
const ALIKE = 0.3;

/**
 * The differences as lines `{ sign, depth, name, text, other }`: `sign` is " ", "-" (only in the first) or
 * "+" (only in the second). Where one plain value took another's place, each of the two lines has the other's
 * text in `other`.
 */
export function differences(before, after) {
  const out = [];
  if (!before || !after) {
    whole(out, before ? "-" : "+", before ?? after, 0, null);
    return out;
  }
  compare(out, before, after, 0, null);
  return out;
}

function whole(out, sign, value, depth, name) {
  lines(value, (its, member, text) => out.push({ sign, depth: its, name: member, text }), depth, name);
}

function compare(out, before, after, depth, name) {
  if (isEqual(before, after)) {
    whole(out, " ", before, depth, name);
    return;
  }
  const [old, fresh] = [short(before), short(after)];
  if (before.kind !== after.kind || old !== null || fresh !== null) {
    whole(out, "-", before, depth, name);
    whole(out, "+", after, depth, name);
    if (old !== null && fresh !== null) {
      out.at(-2).other = fresh;
      out.at(-1).other = old;
    }
    return;
  }
  const [start, end] = before.kind === "object" ? "{}" : "[]";
  out.push({ sign: " ", depth, name, text: start });
  if (before.kind === "object") members(out, before, after, depth + 1);
  else items(out, before.items, after.items, depth + 1);
  out.push({ sign: " ", depth, name: null, text: end });
}

function members(out, before, after, depth) {
  const old = new Map(before.members);
  const fresh = new Map(after.members);
  // New members are shown behind the one that they follow.
  const follow = new Map();
  let known = null;
  for (const name of fresh.keys()) {
    if (old.has(name)) known = name;
    else if (follow.has(known)) follow.get(known).push(name);
    else follow.set(known, [name]);
  }
  const come = (name) =>
    (follow.get(name) ?? []).forEach((its) => whole(out, "+", fresh.get(its), depth, its));
  come(null);
  for (const [name, value] of old) {
    if (fresh.has(name)) compare(out, value, fresh.get(name), depth, name);
    else whole(out, "-", value, depth, name);
    come(name);
  }
}

function items(out, before, after, depth) {
  let [i, j] = [0, 0];
  const gone = (to) => {
    for (; i < to; i += 1) whole(out, "-", before[i], depth, null);
  };
  const come = (to) => {
    for (; j < to; j += 1) whole(out, "+", after[j], depth, null);
  };
  for (const [x, y] of [...common(before, after), [before.length, after.length]]) {
    // Between two items that stayed: what is like one that was there before was changed rather than replaced.
    const opposite = x - i === y - j;
    while (i < x && j < y) {
      if (opposite && short(before[i]) !== null && short(after[j]) !== null) {
        compare(out, before[i], after[j], depth, null);
        i += 1;
        j += 1;
        continue;
      }
      const like = mostAlike(before[i], after, j, Math.min(y, j + NEAR));
      if (like === null) {
        gone(i + 1);
      } else {
        come(like);
        compare(out, before[i], after[like], depth, null);
        i += 1;
        j = like + 1;
      }
    }
    gone(x);
    come(y);
    if (x < before.length) {
      whole(out, " ", before[x], depth, null);
      i = x + 1;
      j = y + 1;
    }
  }
}

/** Which of the items from `start` to `end` is most like a value; null where none is enough. */
function mostAlike(value, items, start, end) {
  let [best, most] = [null, 0];
  for (let at = start; at < end; at += 1) {
    const alike = likeness(value, items[at]);
    if (alike > most) [best, most] = [at, alike];
  }
  return most < ALIKE ? null : best;
}

/** What part of two values is equal, from 0 to 1. */
function likeness(a, b) {
  if (a.kind !== b.kind || a.kind === "plain") return 0;
  if (a.kind === "array") return 0.5;
  const others = new Map(b.members);
  const equal = a.members.filter(([name, value]) => others.has(name) && isEqual(value, others.get(name)));
  return equal.length / Math.max(a.members.length, b.members.length, 1);
}

/** The longest row of items that both lists have, as pairs of places. */
function common(before, after) {
  let start = 0;
  const least = Math.min(before.length, after.length);
  while (start < least && isEqual(before[start], after[start])) start += 1;
  let end = 0;
  while (end < least - start && isEqual(before[before.length - 1 - end], after[after.length - 1 - end]))
    end += 1;
  const pairs = Array.from({ length: start }, (_, at) => [at, at]);
  const [width, height] = [before.length - end - start, after.length - end - start];
  for (const pair of longest(before, after, start, width, height)) pairs.push(pair);
  for (let at = end; at > 0; at -= 1) pairs.push([before.length - at, after.length - at]);
  return pairs;
}

/**
 * The same for the parts of two lists that begin at `start`, by the way of Myers ("An O(ND) difference
 * algorithm"): for one change, two, three, … how far one gets on each diagonal. Empty where too many changes
 * lie between them.
 */
function longest(before, after, start, width, height) {
  const equal = (x, y) => isEqual(before[start + x], after[start + y]);
  const most = Math.min(width + height, MOST_CHANGES);
  // Of each number of changes d: the furthest x of the diagonals -d to d.
  const ways = [];
  for (let d = 0; d <= most; d += 1) {
    const way = new Int32Array(2 * d + 1);
    for (let k = -d; k <= d; k += 2) {
      let x = entry(ways, d, k).x;
      while (x < width && x - k < height && equal(x, x - k)) x += 1;
      way[k + d] = x;
      if (x >= width && x - k >= height) {
        ways.push(way);
        return pairsOf(ways, width, height, start);
      }
    }
    ways.push(way);
  }
  return [];
}

/** Where diagonal `k` is entered with the change number `d`, and the diagonal that one comes from. */
function entry(ways, d, k) {
  if (d === 0) return { x: 0, from: 0 };
  const last = (its) => (Math.abs(its) > d - 1 ? -1 : ways[d - 1][its + d - 1]);
  const [come, gone] = [last(k + 1), last(k - 1)];
  return k === -d || (k !== d && gone < come) ? { x: come, from: k + 1 } : { x: gone + 1, from: k - 1 };
}

function pairsOf(ways, width, height, start) {
  const pairs = [];
  let [x, k] = [width, width - height];
  for (let d = ways.length - 1; d >= 0; d -= 1) {
    const { x: entered, from } = entry(ways, d, k);
    for (; x > entered; x -= 1) pairs.push([start + x - 1, start + x - 1 - k]);
    if (d > 0) x = ways[d - 1][from + d - 1];
    k = from;
  }
  return pairs.reverse();
}

/** Whether two values are equal, whatever the order of their members. */
export function isEqual(a, b) {
  if (a.kind !== b.kind || hash(a) !== hash(b)) return false;
  if (a.kind === "plain") return a.text === b.text;
  if (a.kind === "array")
    return a.items.length === b.items.length && a.items.every((item, at) => isEqual(item, b.items[at]));
  if (a.members.length !== b.members.length) return false;
  const others = new Map(b.members);
  return a.members.every(([name, value]) => others.has(name) && isEqual(value, others.get(name)));
}

/** A number that is the same for equal values, remembered with the value. */
function hash(value) {
  value.hash ??= hashed(value);
  return value.hash;
}

function hashed(value) {
  if (value.kind === "plain") return textHash(value.text);
  if (value.kind === "array")
    return value.items.reduce((sum, item) => mix(sum, hash(item)), value.items.length);
  // A sum, as the order does not count.
  return value.members.reduce(
    (sum, [name, its]) => (sum + mix(textHash(name), hash(its))) | 0,
    ~value.members.length,
  );
}

function textHash(text) {
  let sum = text.length;
  for (let at = 0; at < text.length; at += 1) sum = mix(sum, text.charCodeAt(at));
  return sum;
}

function mix(sum, value) {
  return Math.imul(sum ^ value, 0x01000193) ^ (sum >>> 15);
}
