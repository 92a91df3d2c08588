//! The database into which documents are restored.

use std::time::{Duration, Instant};

use couchfile::json::Json;
use couchfile::shard_map::ShardMap;
use node::{Answer, Body, Http, Method, NodeError, encode};
use outcome::{Code, Failure, Result};
use serde_json::Value;
use snapshot::SnapshotDatabase;

use super::FoundDescription;
use super::note::{ID, Note};
use super::security::{self, UserDatabase};

/// The revisions limit during the restore: more than any document has, so that CouchDB keeps all of them.
const LIFTED: u64 = 1_000_000;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(150);
/// The document that CouchDB itself creates in its database of users.
const AUTH: &str = "_design/_auth";
/// How long a write may take to become visible: one of several copies may be behind for a moment.
const SEEN: Duration = Duration::from_secs(30);

/// The properties of a new database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Number of ranges.
    pub(super) q: usize,
    /// Copies of each range.
    pub(super) n: usize,
    /// Which zones get how many copies of a new database, as CouchDB writes it.
    pub(super) zones: Option<String>,
    pub(super) partitioned: bool,
    /// Whether the user chose the number of ranges.
    pub(super) q_is_chosen: bool,
    /// Whether ranges in the archive overlap: its shards were being split, and some documents are in two shards.
    pub(super) overlaps: bool,
}

impl Shape {
    /// The shape of a database of the archive, with so many ranges and copies if they are chosen.
    pub(super) fn of(map: &ShardMap, chosen_q: Option<u32>, copies: Option<usize>) -> Self {
        let ranges: Vec<_> = map.by_range.keys().collect();
        // Of a range that is being split and its parts, the parts count.
        let inside = |inner: &couchfile::data_dir::Range, outer: &couchfile::data_dir::Range| {
            inner != outer && outer.begin <= inner.begin && inner.end <= outer.end
        };
        let q = ranges.iter().filter(|outer| !ranges.iter().any(|inner| inside(inner, outer))).count();
        let q = if contents::is_of_couchdb_1(map) { contents::RANGES_FOR_COUCHDB_1 as usize } else { q };
        Self {
            q: chosen_q.map_or(q.max(1), |q| q as usize),
            n: copies.unwrap_or_else(|| map.copies()).max(1),
            zones: None,
            partitioned: map.is_partitioned(),
            q_is_chosen: chosen_q.is_some(),
            overlaps: q < ranges.len(),
        }
    }
}

/// What exists under a database's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Empty,
    /// An interrupted restore of the same database.
    Unfinished(Note),
    Documents,
}

impl Found {
    pub(super) fn description(&self) -> FoundDescription {
        match self {
            Self::Nothing => FoundDescription::Nothing,
            Self::Empty => FoundDescription::Empty,
            Self::Unfinished(_) => FoundDescription::Unfinished,
            Self::Documents => FoundDescription::Documents,
        }
    }
}

/// Refuses users that are not server admins: they can neither create databases nor bypass functions that validate documents.
pub(super) fn check_admin(http: &Http) -> Result<()> {
    http.version()?;
    let session = http.get("/_session")?;
    let roles = session["userCtx"]["roles"].as_array();
    if roles.is_some_and(|roles| roles.iter().any(|role| role == "_admin")) {
        return Ok(());
    }
    Err(NodeError::Unauthorized {
        node: http.node().to_owned(),
        request: "creating databases".into(),
        reason: "not a server admin".into(),
    }
    .into())
}

/// A database of the cluster that may not exist.
#[derive(Clone, Copy)]
pub(super) struct Target<'h> {
    pub(super) http: &'h Http,
    pub(super) name: &'h str,
}

impl<'h> Target<'h> {
    pub(super) fn new(http: &'h Http, name: &'h str) -> Self {
        Self { http, name }
    }

    /// The path of a part of the database, such as `/_security`.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/{}{rest}", encode(self.name))
    }

    /// The URL of a part of the database, without credentials.
    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}{}", self.http.url(), self.path(rest))
    }

    /// Its security object; `None` if the database does not exist.
    pub(super) fn look_at_security(&self) -> Result<Option<Json>> {
        if self.info()?.is_some() { self.security().map(Some) } else { Ok(None) }
    }

    /// Inspects what exists.
    ///
    /// Fails if documents cannot be restored into it.
    pub(super) fn look(&self, shape: &Shape, note: &Note) -> Result<Found> {
        let Some(info) = self.info()? else { return Ok(Found::Nothing) };
        if (info["props"]["partitioned"] == true) != shape.partitioned {
            let (has, wanted) = if shape.partitioned { ("not ", "") } else { ("", "not ") };
            return Err(Failure::refused(
                Code::new("CC-R25"),
                format!(
                    "{} is {has}partitioned in the cluster, but {wanted}partitioned in the archive",
                    self.name
                ),
                "Choose another name: --db NAME=NEWNAME.",
            ));
        }
        if let Some(found) = self.note()? {
            if found.is_of(note) {
                return Ok(Found::Unfinished(found));
            }
            if !note.merge {
                return Err(Failure::refused(
                    Code::new("CC-R26"),
                    format!("{} holds an unfinished restore {found}", self.name),
                    "Finish that restore with its own archive, delete the database, or choose another name: --db NAME=NEWNAME. \
                     Give --merge to add to the existing documents.",
                ));
            }
        }
        let count = |key: &str| info[key].as_u64().unwrap_or(0);
        let (documents, deleted) = (count("doc_count"), count("doc_del_count"));
        if documents == 0 && deleted == 0 || documents == 1 && deleted == 0 && self.holds_auth_only()? {
            return Ok(Found::Empty);
        }
        if note.merge {
            return Ok(Found::Documents);
        }
        Err(Failure::refused(
            Code::new("CC-R27"),
            format!("{} exists already, with {documents} documents and {deleted} deleted ones", self.name),
            "Choose another name (--db NAME=NEWNAME), or give --merge to add the archive's documents to it: each document keeps \
             the revisions of both sides, as after a replication.",
        ))
    }

    /// Whether it holds only what CouchDB itself puts into a database of users.
    fn holds_auth_only(&self) -> Result<bool> {
        let rows = self.http.get(&self.path("/_all_docs?limit=2"))?;
        let ids: Option<Vec<&str>> =
            rows["rows"].as_array().map(|rows| rows.iter().filter_map(|row| row["id"].as_str()).collect());
        Ok(ids == Some(vec![AUTH]))
    }

    /// The number of ranges, and of copies of each range.
    pub(super) fn ranges(&self) -> Result<Option<(u64, u64)>> {
        let info = self.info()?;
        Ok(info.and_then(|info| Some((info["cluster"]["q"].as_u64()?, info["cluster"]["n"].as_u64()?))))
    }

    fn info(&self) -> Result<Option<Value>> {
        let answer = self.http.ask(Method::GET, &self.path(""), None)?;
        match answer.status {
            404 => Ok(None),
            _ => Ok(Some(self.expect(&Method::GET, "", answer)?.body)),
        }
    }

    /// Fails unless an answer is a success.
    fn expect(&self, method: &Method, rest: &str, answer: Answer) -> Result<Answer> {
        if answer.is_success() {
            return Ok(answer);
        }
        Err(self.error(&format!("{method} {}", self.path(rest)), answer.status, answer.reason()))
    }

    /// The error for a request that CouchDB refused.
    pub(super) fn error(&self, request: &str, status: u16, reason: String) -> Failure {
        let (node, request) = (self.http.node().to_owned(), request.to_owned());
        match status {
            // Name and password have been proven to be a server admin's, so 403 is about something else.
            401 => NodeError::Unauthorized { node, request, reason },
            _ => NodeError::Http { node, request, status, reason },
        }
        .into()
    }

    /// Creates the database.
    pub(super) fn create(&self, shape: &Shape) -> Result<()> {
        let Shape { q, n, zones, partitioned, .. } = shape;
        let partitioned = if *partitioned { "&partitioned=true" } else { "" };
        // Said although CouchDB may have the same in its configuration: any node of the cluster may create the database.
        let zones = zones.as_ref().map_or_else(String::new, |zones| format!("&placement={}", encode(zones)));
        let rest = format!("?q={q}&n={n}{zones}{partitioned}");
        let answer = self.http.ask(Method::PUT, &self.path(&rest), None)?;
        if answer.status == 412 {
            return Err(Failure::refused(
                Code::new("CC-R28"),
                format!("someone else has just created {}", self.name),
                "Run the same command again to see what it holds.",
            ));
        }
        self.expect(&Method::PUT, &rest, answer).map(|_| ())
    }

    fn note(&self) -> Result<Option<Note>> {
        Ok(self.local(ID)?.as_ref().and_then(Note::read))
    }

    /// A local document; `None` if there is none.
    pub(super) fn local(&self, id: &str) -> Result<Option<Value>> {
        let rest = format!("/{id}");
        let answer = self.http.ask(Method::GET, &self.path(&rest), None)?;
        match answer.status {
            404 => Ok(None),
            _ => Ok(Some(self.expect(&Method::GET, &rest, answer)?.body)),
        }
    }

    /// Writes the note about the restore.
    pub(super) fn put_note(&self, note: &Note) -> Result<()> {
        self.put_local(ID, &note.to_json().into()).map(|_| ())
    }

    /// Removes the note.
    pub(super) fn remove_note(&self) -> Result<()> {
        self.remove_local(ID)
    }

    /// Removes a local document.
    pub(super) fn remove_local(&self, id: &str) -> Result<()> {
        let rest = format!("/{id}");
        let answer = self.http.ask(Method::GET, &self.path(&rest), None)?;
        if answer.status == 404 {
            return Ok(());
        }
        let found = self.expect(&Method::GET, &rest, answer)?.body;
        let rest = format!("{rest}?rev={}", encode(found["_rev"].as_str().unwrap_or_default()));
        let answer = self.http.ask(Method::DELETE, &self.path(&rest), None)?;
        match answer.status {
            404 => Ok(()),
            _ => self.expect(&Method::DELETE, &rest, answer).map(|_| ()),
        }
    }

    /// Writes a local document and replaces an existing one. Returns whether a write was necessary.
    pub(super) fn put_local(&self, id: &str, document: &Json) -> Result<bool> {
        let name = id.strip_prefix("_local/").unwrap_or(id);
        let rest = format!("/_local/{}", encode(name));
        let without_rev = |mut document: Json| {
            let rev = document.as_object_mut().and_then(|members| members.remove("_rev"));
            (document, rev)
        };
        let (mut document, _) = without_rev(document.clone());
        let answer = self.http.ask(Method::GET, &self.path(&rest), None)?;
        if answer.status != 404 {
            let answer = self.expect(&Method::GET, &rest, answer)?;
            let (found, rev) = without_rev(self.exact(&rest, &answer)?);
            if found == document {
                return Ok(false);
            }
            if let (Some(members), Some(rev)) = (document.as_object_mut(), rev) {
                members.insert("_rev", rev);
            }
        }
        self.put(&rest, &document)?;
        Ok(true)
    }

    /// Parses an answer as JSON of any depth, with integers of any size.
    fn exact(&self, rest: &str, answer: &Answer) -> Result<Json> {
        Json::parse(&answer.text).map_err(|e| {
            let asked = format!("GET {}", self.path(rest));
            NodeError::Answer { node: self.http.node().to_owned(), asked, problem: e.to_string() }.into()
        })
    }

    /// Restricts access to server admins until the restore is complete. CouchDB does not allow that for its own database of
    /// users, where it shows nobody the documents of others.
    pub(super) fn close(&self, users: &UserDatabase) -> Result<()> {
        let closed = security::closed();
        if !users.is(self.name) {
            return self.set("/_security", &closed);
        }
        self.set_security(&closed).map(|_| ())
    }

    /// Raises the revisions limit, so that CouchDB keeps all ancestors of every revision for now.
    pub(super) fn lift_revs_limit(&self, limit: u64) -> Result<()> {
        self.put("/_revs_limit", &Json::from(limit.max(LIFTED)))
    }

    /// Sets the limits from the archive.
    ///
    /// Fails if the database does not have the limits afterwards.
    pub(super) fn set_limits(&self, source: &SnapshotDatabase) -> Result<()> {
        self.set("/_revs_limit", &source.revs_limit()?.into())?;
        self.set("/_purged_infos_limit", &source.purge_infos_limit()?.into())
    }

    /// Sets a security object; returns CouchDB's answer if CouchDB does not allow that.
    ///
    /// Fails if the database does not have the object afterwards.
    pub(super) fn set_security(&self, security: &Json) -> Result<Option<String>> {
        let rest = "/_security";
        if self.security()? == *security {
            return Ok(None);
        }
        let text = security.to_exact_vec();
        let answer = self.http.send(Method::PUT, &self.path(rest), Body::Text(&text), ANSWER)?;
        if answer.status == 403 {
            return Ok(Some(answer.reason()));
        }
        self.expect(&Method::PUT, rest, answer)?;
        self.wait_for(rest, security).map(|()| None)
    }

    /// Its security object.
    pub(super) fn security(&self) -> Result<Json> {
        self.setting("/_security")
    }

    fn setting(&self, rest: &str) -> Result<Json> {
        let answer = self.http.ask(Method::GET, &self.path(rest), None)?;
        let answer = self.expect(&Method::GET, rest, answer)?;
        self.exact(rest, &answer)
    }

    /// Sets a value unless it is set already, and checks it.
    fn set(&self, rest: &str, value: &Json) -> Result<()> {
        if self.setting(rest)? == *value {
            return Ok(());
        }
        self.put(rest, value)?;
        self.wait_for(rest, value)
    }

    fn wait_for(&self, rest: &str, value: &Json) -> Result<()> {
        let begun = Instant::now();
        while self.setting(rest)? != *value {
            if begun.elapsed() > SEEN {
                return Err(Failure::incomplete(
                    Code::new("CC-R29"),
                    format!("{}{rest} was set, but reads back differently", self.name),
                    "Someone else may have changed it. Run the same command again.",
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until it has the expected number of documents and deleted documents; returns the numbers that it has.
    pub(super) fn counts(&self, enough: impl Fn(u64, u64) -> bool) -> Result<(u64, u64)> {
        let begun = Instant::now();
        loop {
            let info = self.http.get(&self.path(""))?;
            let count = |key: &str| info[key].as_u64().unwrap_or(0);
            let (documents, deleted) = (count("doc_count"), count("doc_del_count"));
            if enough(documents, deleted) || begun.elapsed() > SEEN {
                return Ok((documents, deleted));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn put(&self, rest: &str, value: &Json) -> Result<()> {
        let text = value.to_exact_vec();
        let answer = self.http.send(Method::PUT, &self.path(rest), Body::Text(&text), ANSWER)?;
        self.expect(&Method::PUT, rest, answer).map(|_| ())
    }
}
