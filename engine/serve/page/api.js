// What is asked of the archives, over CouchDB's own interface.

/** A request that was answered, but not with what was asked for; or not at all. */
export class Refused extends Error {
  /** `status` is HTTP's, or 0 where nothing answered; `error` and `reason` are CouchDB's. */
  constructor(status, error, reason) {
    super(reason);
    this.status = status;
    this.error = error;
    this.reason = reason;
  }

  /** Whether what was asked for is not there. */
  get isMissing() {
    return this.status === 404;
  }

  /** Whether the document was there and has been deleted. */
  get isDeleted() {
    return this.status === 404 && this.reason === "deleted";
  }
}

/** Asks; an answer other than success is an error. `options` are those of `fetch`. */
export async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: "application/json" }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", "couchcopy does not answer. Is couchcopy serve still running?");
  }
  if (response.ok) return response;
  let told = {};
  try {
    told = await response.json();
  } catch {
    // Not CouchDB's form; the status is told.
  }
  throw new Refused(
    response.status,
    told.error ?? "error",
    told.reason ?? `The answer was ${response.status} ${response.statusText}`.trim(),
  );
}

async function json(url, signal) {
  return (await ask(url, { signal })).json();
}

async function post(url, body, signal) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  return ask(url, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/**
 * A moment as text, to the second: in UTC, or without a zone if none is recorded; as it is where it is none.
 */
export function stamp(date) {
  const found = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(Z?)$/.exec(date ?? "");
  if (!found) return date ?? "date unknown";
  const [, day, time, zone] = found;
  return `${day} ${time}${zone && " UTC"}`;
}

/** Part of an address. */
export function encode(text) {
  return encodeURIComponent(text.toWellFormed?.() ?? text);
}

/** A document's place below its database: the slash after `_design` and `_local` is one. */
function place(id) {
  const [kind, name] = parts(id);
  return kind + encode(name);
}

function parts(id) {
  const kind = ["_design/", "_local/"].find((its) => id.startsWith(its)) ?? "";
  return [kind, id.slice(kind.length)];
}

/** Whether a browser takes a name, however it is encoded, for "here" or "one up" within an address. */
function isDots(name) {
  return name === "." || name === "..";
}

/** Whether no address of a browser can hold a document's id. */
export function isUnaddressable(id) {
  return isDots(parts(id)[1]);
}

function query(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  if (given.length === 0) return "";
  return "?" + given.map(([key, value]) => `${key}=${encode(String(value))}`).join("&");
}

/** A page of a list that is sorted by a key; the keys are JSON. */
function walk({ startkey, descending, limit }) {
  return query({
    startkey: startkey === undefined || startkey === "" ? undefined : JSON.stringify(startkey),
    descending: descending ? true : undefined,
    limit,
  });
}

/** The archives and repositories that are served; a repository as its newest backup. */
export async function archives(signal) {
  const all = await json("archives", signal);
  const names = all.map(({ name }) => name.replace(/\/+$/, "").split("/").at(-1));
  // The folders are told only where they tell archives apart.
  const isOnly = (name) => names.indexOf(name) === names.lastIndexOf(name);
  return all.map((facts, at) => new Archive(facts, isOnly(names[at]) ? names[at] : facts.name));
}

/**
 * The archive or the backup that a reference names: `1` is the first archive, `1~ID` a backup in it, if it is a
 * repository, `1~ID~RANGE~SEQUENCE` a state of a file in that backup. Null where there is none.
 */
export async function resolve(archives, reference, signal) {
  const [number, id = "", range, sequence] = reference.split("~");
  const archive = archives.find((its) => String(its.number) === number);
  if (!archive || reference === number) return archive ?? null;
  let backup = archive;
  if (id !== "") {
    if (!archive.isRepository) return null;
    // Ids that are none are answered with 400.
    const found = await backups(archive, { around: id, limit: 1 }, signal).catch((error) => {
      if (error instanceof Refused && error.status === 400) return null;
      throw error;
    });
    backup = found?.backups.find((its) => its.id === id);
  }
  if (!backup || range === undefined) return backup ?? null;
  return sequence === undefined ? null : backup.at(range, sequence);
}

/**
 * Backups in the order of time, the oldest first: those of a repository, or all archives that are served. `range`
 * says which: `around`, `before` or `after` an id, `on` a day; `limit`. Gives `{ total, offset, backups }`.
 */
export async function backups(archive, range, signal) {
  const found = await json(`backups${query({ archive: archive.number, ...range })}`, signal);
  const of = (facts) =>
    archive.isRepository ? archive.backup(facts) : new Archive({ ...facts, number: Number(facts.id) }, facts.name);
  return { ...found, backups: found.backups.map(of) };
}

/**
 * The versions of a document in some backups, `from` the newest of them on: `{ versions, searched, total, next }`.
 */
export function history(archive, db, doc, from, signal) {
  return json(`history${query({ archive: archive.number, db, doc, from })}`, signal);
}

/** An archive, or a backup in a repository. */
export class Archive {
  constructor(facts, name) {
    const { number, date, nodes, made_by: madeBy, databases, manifest, root } = facts;
    this.number = number;
    /** What addresses name it by. */
    this.reference = facts.reference ?? String(number);
    this.name = name;
    this.date = date;
    this.nodes = nodes ?? [];
    this.madeBy = madeBy;
    /** How many databases it has, where that is known. */
    this.databases = databases;
    this.isIndexed = manifest;
    this.root = root;
    /** How many backups the repository has, if it is one. */
    this.backups = facts.backups;
    /** Its name among the backups of its repository, or among the archives. */
    this.id = facts.backup ?? String(number);
    /** Whether everything was saved; unknown of archives. */
    this.isComplete = facts.complete;
    /** Why nothing is known of it. */
    this.problem = facts.problem;
    /** The sequence of a shard, as `--at-seq` takes it, where it is a state of a file. */
    this.atSeq = null;
    /** What a command names it by, null where none can: of a repository, the backup; and the options that it takes besides. */
    this.place = facts.location ?? null;
    this.location = this.place !== null && facts.backup ? `${this.place}::${facts.backup}` : this.place;
    this.flags = facts.flags ?? [];
    this.repository = null;
  }

  /** Whether it stands for a repository. */
  get isRepository() {
    return this.backups !== undefined;
  }

  /** The repository that it belongs to; itself, if it is an archive. */
  get series() {
    return this.repository ?? this;
  }

  /** A backup in this repository. */
  backup(facts) {
    const { number, place: location, flags } = this;
    const name = `${this.name}, ${stamp(facts.date)}`;
    const backup = new Archive({ ...facts, number, location, flags, backup: facts.id }, name);
    backup.repository = this;
    return backup;
  }

  /** This backup when a shard had reached a sequence. */
  at(range, sequence) {
    const id = this.reference === String(this.number) ? "" : this.id;
    const reference = `${this.number}~${id}~${range}~${sequence}`;
    const root = `/_backup/archives/${reference}/`;
    const state = Object.assign(Object.create(Archive.prototype), this, { reference, root });
    state.name = `${this.name}, sequence ${sequence}`;
    state.atSeq = `${range}=${sequence}`;
    state.saved = this;
    return state;
  }

  /** Names of databases, as many as `range` says. */
  names(range, signal) {
    return json(this.root + "_all_dbs" + walk(range), signal);
  }

  /** What `info` says of each of some databases, by their names. */
  async infos(names, signal) {
    const rows = await (await post(this.root + "_dbs_info", { keys: names }, signal)).json();
    return new Map(rows.map((row) => [row.key, row.info]));
  }

  /** A database. It may not be there. */
  database(name) {
    return new Database(this.root + encode(name));
  }
}

/** A database of an archive. */
export class Database {
  constructor(url) {
    this.url = url;
  }

  /** Counts and sizes. */
  info(signal) {
    return json(this.url, signal);
  }

  /** Its security, shards and the like: `_security`, … */
  part(name, signal) {
    return json(`${this.url}/${name}`, signal);
  }

  /** Rows of `_all_docs`, `_design_docs` or `_local_docs`, as many as `range` says. */
  async rows(list, range, signal) {
    return (await json(`${this.url}/${list}${walk(range)}`, signal)).rows;
  }

  /**
   * What `_all_docs` knows of one document: its revision, whether it is deleted; null where it is not there.
   */
  async row(id, signal) {
    const { rows } = await json(`${this.url}/_all_docs${query({ keys: JSON.stringify([id]) })}`, signal);
    const value = rows[0]?.value;
    return value?.rev ? value : null;
  }

  /** Deleted documents in the order of their changes, after `since`. */
  async deleted({ since, limit }, signal) {
    const options = query({ filter: "_selector", since, limit });
    return (await post(`${this.url}/_changes${options}`, { selector: { _deleted: true } }, signal)).json();
  }

  /** A document's address. */
  documentUrl(id, options = {}) {
    return `${this.url}/${place(id)}${query(options)}`;
  }

  /** An attachment's address; null where a browser has no way to name it. */
  attachmentUrl(id, name, rev) {
    if (isDots(name) || isUnaddressable(id)) return null;
    return `${this.url}/${place(id)}/${encode(name)}${query({ rev })}`;
  }

  /** A document as text, so that not a digit of it is lost. */
  async document(id, options, signal) {
    return (await ask(this.documentUrl(id, options), { signal })).text();
  }

  /** Whether the archive has the body of a revision. */
  async keeps(id, rev, signal) {
    try {
      await ask(this.documentUrl(id, { rev }), { method: "HEAD", signal });
      return true;
    } catch (error) {
      if (error instanceof Refused && error.isMissing) return false;
      throw error;
    }
  }

  /** All leaf revisions of a document, deleted ones too, as text of a list of `{"ok": document}`. */
  leaves(id, signal) {
    return this.document(id, { open_revs: "all", revs: true }, signal);
  }

  /** The same for documents whose names no address can hold; within `{"results": [{"docs": […]}]}`. */
  async bulk(wanted, signal) {
    return (await post(`${this.url}/_bulk_get?revs=true`, { docs: [wanted] }, signal)).text();
  }
}
