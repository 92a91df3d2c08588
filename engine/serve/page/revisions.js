// One document with all of its revisions.

import { isUnaddressable, Refused } from "./api.js";
import * as json from "./json.js";

/** What is asked for beside the document's own members, and shown elsewhere. */
const ASKED = ["_revisions", "_revs_info", "_conflicts", "_deleted_conflicts"];

/** The document is there, but not the body of the revision. */
export class NotKept extends Refused {
  constructor() {
    super(404, "not_found", "The body of this revision is not kept");
  }
}

/**
 * A revision of a document, the winning one unless `rev` names another:
 * - `rev`, `isDeleted`, `isLocal`
 * - `value`: what `json.read` makes of it, null where it is not readable; `text`: as it came
 * - `attachments`: `{ name, content_type, length, … }`
 * - `winner`, `conflicts`, `deleted`: the document's leaf revisions; `isGone` where all of them are deleted
 * - `history`: this revision and those that it was made of, newest first: `{ rev, isKept }`, null where not
 *   known yet
 *
 * What is not there is an error that says so.
 */
export async function load(database, id, rev, signal) {
  if (id.startsWith("_local/")) {
    const text = await database.document(id, {}, signal);
    const body = one(text);
    return {
      ...body,
      isLocal: true,
      winner: body.rev,
      conflicts: [],
      deleted: [],
      isGone: false,
      history: [],
    };
  }
  const leaves = await leavesOf(database, id, signal);
  const wanted = rev ?? leaves.winner;
  const known = leaves.bodies.find((body) => body.rev === wanted);
  const body =
    known ??
    (await other(database, id, wanted, signal).catch((error) => {
      // Told apart from a document that is not there.
      if (error instanceof Refused && error.isMissing) throw new NotKept();
      throw error;
    }));
  const { winner, conflicts, deleted, isGone } = leaves;
  return { ...body, winner, conflicts, deleted, isGone };
}

/** Leaf revisions, and the bodies that came along. */
async function leavesOf(database, id, signal) {
  if (!isUnaddressable(id)) {
    try {
      const options = { conflicts: true, deleted_conflicts: true, revs: true, revs_info: true };
      const text = await database.document(id, options, signal);
      const body = one(text);
      return {
        winner: body.rev,
        conflicts: body.meta._conflicts ?? [],
        deleted: body.meta._deleted_conflicts ?? [],
        isGone: false,
        bodies: [body],
      };
    } catch (error) {
      if (!(error instanceof Refused && error.isDeleted)) throw error;
      // All of its revisions are deleted: then only all leaves together tell of it.
    }
  }
  const answer = isUnaddressable(id)
    ? json.member(first(json.member(json.read(await database.bulk({ id }, signal)), "results")), "docs")
    : json.read(await database.leaves(id, signal));
  return sorted(found(answer));
}

function first(list) {
  return list?.items?.[0];
}

function found(list) {
  const bodies = (list?.items ?? [])
    .map((item) => json.member(item, "ok"))
    .filter(Boolean)
    .map(ofValue);
  if (bodies.length === 0) throw new Refused(404, "not_found", "missing");
  return bodies;
}

/** Which of the leaves wins: living ones first, then the longer history, then the greater id. */
function sorted(bodies) {
  const rank = ({ isDeleted, rev }) => [isDeleted ? 0 : 1, generation(rev), rev.slice(rev.indexOf("-") + 1)];
  const order = (a, b) => {
    const [x, y] = [rank(a), rank(b)];
    const at = x.findIndex((part, its) => part !== y[its]);
    return at < 0 ? 0 : x[at] > y[at] ? -1 : 1;
  };
  const [winner, ...others] = [...bodies].sort(order);
  const revs = (isDeleted) => others.filter((body) => body.isDeleted === isDeleted).map(({ rev }) => rev);
  return {
    winner: winner.rev,
    conflicts: revs(false),
    deleted: revs(true),
    isGone: winner.isDeleted,
    bodies,
  };
}

/** Which change of its document a revision is. */
export function generation(rev) {
  return Number.parseInt(rev, 10);
}

async function other(database, id, rev, signal) {
  if (isUnaddressable(id)) {
    const answer = json.read(await database.bulk({ id, rev }, signal));
    return found(json.member(first(json.member(answer, "results")), "docs"))[0];
  }
  return one(await database.document(id, { rev, revs: true }, signal));
}

function one(text) {
  return body(text, json.read(text));
}

function ofValue(value) {
  return body(json.text(value), value);
}

function body(text, value) {
  const meta = JSON.parse(text);
  return {
    value: value && json.without(value, ASKED),
    text,
    meta,
    rev: meta._rev,
    isDeleted: meta._deleted === true,
    isLocal: false,
    attachments: Object.entries(meta._attachments ?? {}).map(([name, its]) => ({ ...its, name })),
    history: history(meta),
  };
}

function history({ _rev, _revisions, _revs_info }) {
  if (_revs_info) return _revs_info.map(({ rev, status }) => ({ rev, isKept: status !== "missing" }));
  return (_revisions?.ids ?? []).map((its, at) => {
    const rev = `${_revisions.start - at}-${its}`;
    return { rev, isKept: rev === _rev ? true : null };
  });
}
