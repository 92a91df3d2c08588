//! The shard maps inside a backup.

mod rewrite;

use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::shard_map::ShardMap;
use outcome::{Code, Failure, Result, parallel};

use crate::AnySource;
use crate::ordered::convert_in_order;
use crate::unusable::unusable;

pub use rewrite::{moved, unchanged};

/// A `_dbs.couch` in an archive.
pub struct ArchivedMaps {
    database: Database<AnySource>,
}

/// A document of `_dbs.couch`.
#[derive(Debug)]
pub struct MapDocument {
    /// Its id: the database's name, or that of a design document.
    pub id: String,
    /// Generation and id of its winning revision.
    pub revision: (u64, Vec<u8>),
    /// Ids of the ancestors of the winning revision, beginning with its parent.
    pub ancestors: Vec<Vec<u8>>,
    /// Its body: an object as an Erlang term, without the version byte.
    pub body: Vec<u8>,
    /// The shard map in the document, or why it holds none.
    pub map: Result<ShardMap, String>,
}

impl MapDocument {
    /// Whether it is a design document. Design documents are stored among the maps.
    pub fn is_design(&self) -> bool {
        self.id.starts_with("_design/")
    }
}

impl ArchivedMaps {
    /// Opens a `_dbs.couch`.
    pub fn new(source: AnySource) -> Result<Self> {
        let database =
            Database::open(source).map_err(|e| unusable("the archive's shard maps (_dbs.couch)", e))?;
        Ok(Self { database })
    }

    /// The file.
    pub fn database(&self) -> &Database<AnySource> {
        &self.database
    }

    /// The names of all databases, in alphabetical order.
    pub fn names(&self) -> Result<Vec<String>> {
        let failed = |e| unusable("the archive's shard maps (_dbs.couch)", e);
        let mut names = Vec::new();
        let add = |doc: &DocInfo<'_>| {
            if !doc.deleted && !doc.id.starts_with(b"_design/") {
                names.push(String::from_utf8_lossy(doc.id).into_owned());
            }
            Ok::<(), CouchFileError>(())
        };
        self.database.for_each_document(add).map_err(failed)?;
        Ok(names)
    }

    /// Calls `each` with every document that is not deleted, in the order of their ids.
    pub fn for_each(&self, mut each: impl FnMut(MapDocument) -> Result<()>) -> Result<()> {
        self.convert(parallel::threads(0), |document| document, &mut each)
    }

    /// Calls `convert` for every document that is not deleted, on several threads, and `consume` on this thread with each result,
    /// in the order of the ids.
    pub fn convert<T: Send>(
        &self,
        threads: usize,
        convert: impl Fn(MapDocument) -> T + Sync,
        consume: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let read = |doc: &DocInfo<'_>| {
            if doc.deleted {
                return Ok(None);
            }
            map_document(&self.database, doc).map(|document| Some(convert(document)))
        };
        convert_in_order(&self.database, threads, "the archive's shard maps (_dbs.couch)", read, consume)
    }

    /// Calls `each` with every shard map. Documents that should hold a shard map and do not are an error.
    pub fn for_each_map(&self, mut each: impl FnMut(ShardMap) -> Result<()>) -> Result<()> {
        let only_map = |document: MapDocument| (document.id, document.map);
        self.convert(parallel::threads(0), only_map, |(id, map)| match map {
            _ if id.starts_with("_design/") => Ok(()),
            Ok(map) => each(map),
            Err(problem) => Err(unreadable(&id, &problem)),
        })
    }
}

/// The error for a document that should hold a shard map and does not.
pub fn unreadable(id: &str, problem: &str) -> Failure {
    Failure::incomplete(
        Code::new("CC-C01"),
        format!("the shard map of {id} cannot be read: {problem}"),
        "Use another backup. `couchcopy verify` lists what is damaged in this one.",
    )
}

/// Reads a document of `_dbs.couch`. Fails if its body cannot be read; a body that holds no shard map is reported in the result.
pub fn map_document<R: ReadAt>(
    database: &Database<R>,
    doc: &DocInfo<'_>,
) -> couchfile::error::Result<MapDocument> {
    let id = String::from_utf8_lossy(doc.id).into_owned();
    let tree = doc.revisions.as_ref();
    let winner = tree.and_then(|tree| tree.winner().map(|winner| (tree, winner)));
    let Some((tree, winner)) = winner else {
        return Err(CouchFileError::Invalid(format!("{id} has no revision")));
    };
    let body = match &winner.stored {
        Some(stored) => database.summary(stored)?.body.as_slice().to_vec(),
        None => return Err(CouchFileError::Invalid(format!("the body of {id} is not stored"))),
    };
    let map = ShardMap::decode(&id, &mut couchfile::term::Decoder::new(&body)).map_err(|e| e.to_string());
    Ok(MapDocument {
        revision: (winner.generation, winner.id.0.to_vec()),
        ancestors: tree.ancestry(winner).skip(1).map(|id| id.0.to_vec()).collect(),
        id,
        body,
        map,
    })
}

/// The shard map in a document of `_dbs.couch`, or why there is none.
pub fn shard_map_of<R: ReadAt>(database: &Database<R>, doc: &DocInfo<'_>) -> Result<ShardMap, String> {
    map_document(database, doc).map_err(|e| e.to_string())?.map
}
