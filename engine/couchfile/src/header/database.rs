//! The header of a database: `{db_header, DiskVersion, UpdateSeq, …}`.
//!
//! Source: `couch_bt_engine_header.erl` (fields, defaults, upgrades, epochs).

use super::epoch::{Epoch, decode_epochs, encode_epochs};
use super::tree_state::TreeState;
use crate::btree::{Reduction, TreeKind};
use crate::error::{CouchFileError, Result, TermError};
use crate::term::{Decoder, Encoder, Token};

/// The disk version that CouchDB 3.0 to 3.5 write.
pub const DISK_VERSION: u64 = 8;
/// Elements of a header of that version.
const FULL_SIZE: usize = 16;
/// CouchDB's default for the number of revisions kept, and of purges remembered.
const DEFAULT_LIMIT: u64 = 1000;

// Positions in the tuple, counted from 0.
const UPDATE_SEQ: usize = 2;
const TIME_SEQ_PTR: usize = 3;
const ID_TREE: usize = 4;
const PURGE_TREE: usize = 7;
const PURGE_SEQ_TREE: usize = 8;
const SECURITY_PTR: usize = 9;
const REVS_LIMIT: usize = 10;
const UUID: usize = 11;
const EPOCHS: usize = 12;
const COMPACTED_SEQ: usize = 13;
const PURGE_INFOS_LIMIT: usize = 14;
const PROPS_PTR: usize = 15;

/// A database's header.
#[derive(Debug, Clone)]
pub struct DbHeader {
    /// Every element of the tuple, encoded; kept so that an edit changes nothing else.
    elements: Vec<Vec<u8>>,
    /// Format version: 6 to 8 are what CouchDB 1.2 to 3.5 wrote.
    pub disk_version: u64,
    /// Last sequence given out.
    pub update_seq: u64,
    /// Where the table of times and sequences lies that CouchDB's versions after 3.5 keep; up to 3.5 the field is unused and 0.
    pub time_seq_ptr: Option<u64>,
    /// Document id to document.
    pub id_tree: Option<TreeState>,
    /// Sequence to document.
    pub seq_tree: Option<TreeState>,
    /// Local document id to local document.
    pub local_tree: Option<TreeState>,
    /// Purge uuid to purge; `None` also in files of version 6 and older.
    pub purge_tree: Option<TreeState>,
    /// Purge sequence to purge; `None` also in files of version 6 and older.
    pub purge_seq_tree: Option<TreeState>,
    /// The purge sequence that version 6 and older keep in the header.
    pub legacy_purge_seq: Option<u64>,
    /// Where the list of last purged revisions lies that version 6 and older keep.
    pub legacy_purged_docs: Option<u64>,
    /// Where the security object lies; `None`: the default one.
    pub security_ptr: Option<u64>,
    /// How many revisions of a document are remembered.
    pub revs_limit: u64,
    /// 32 hexadecimal digits; `None` until CouchDB 2 opens a file of CouchDB 1.
    pub uuid: Option<String>,
    /// Newest first.
    pub epochs: Vec<Epoch>,
    /// The sequence at which the last compaction began.
    pub compacted_seq: u64,
    /// How many purges are remembered.
    pub purge_infos_limit: u64,
    /// Where the database's properties lie.
    pub props_ptr: Option<u64>,
}

fn reduction(kind: TreeKind, tree: &TreeState, offset: u64) -> Result<Reduction> {
    let (reduction, _) = Reduction::decode(kind, &tree.reduction)
        .map_err(|e| CouchFileError::damaged("database header", offset, e))?;
    Ok(reduction)
}

/// What a header edit changes; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdit {
    /// A new uuid: 32 hexadecimal digits.
    pub uuid: Option<String>,
    /// The node that opens the file next: an epoch at the present sequence is put in front, as CouchDB would do.
    pub node: Option<String>,
    /// With `node`: no other node ever wrote this file, so its epoch is the only one and begins at 0.
    pub only_node: bool,
    /// The number of revisions kept per document.
    pub revs_limit: Option<u64>,
    /// The number of purges remembered.
    pub purge_infos_limit: Option<u64>,
    /// Another security object; `null` for CouchDB's default. The writer of the file stores it and sets its pointer.
    pub security: Option<serde_json::Value>,
    /// Where the new security object lies (inside: `None` for CouchDB's default).
    pub security_ptr: Option<Option<u64>>,
    /// Another tree of local documents (inside: `None` for no local documents).
    pub local_tree: Option<Option<TreeState>>,
}

impl DbHeader {
    /// Reads a header's term (with version byte) found at `offset`.
    ///
    /// Fails for headers that CouchDB 3.5 refuses too: versions above 8 or with more than 16 elements, which are of a newer
    /// CouchDB ([`CouchFileError::Newer`]), and versions below 4.
    pub fn decode(term: &[u8], offset: u64) -> Result<Self> {
        let damaged = |e: TermError| CouchFileError::damaged("database header", offset, e);
        let newer = |what: String| CouchFileError::Newer { offset, what };
        let mut decoder = Decoder::versioned(term).map_err(damaged)?;
        let size = decoder.tuple().map_err(damaged)?;
        if size > FULL_SIZE {
            return Err(newer(format!("{size} elements where CouchDB 3.5 knows {FULL_SIZE}")));
        }
        if size < 11 {
            return Err(CouchFileError::damaged(
                "database header",
                offset,
                format!("it has {size} elements"),
            ));
        }
        let mut elements = Vec::with_capacity(size);
        for _ in 0..size {
            elements.push(decoder.raw().map_err(damaged)?.to_vec());
        }
        decoder.end().map_err(damaged)?;
        let field = |i: usize| elements.get(i).map(|bytes| Decoder::new(bytes));
        let uint = |i: usize| field(i).map_or(Ok(0), |mut d| d.uint()).map_err(damaged);
        let tree = |i: usize| field(i).map_or(Ok(None), |mut d| TreeState::decode(&mut d)).map_err(damaged);
        let optional = |i: usize| {
            field(i).map_or(Ok(None), |mut d| match d.token()? {
                Token::Int(value) => Ok(u64::try_from(value).ok()),
                Token::Atom(_) => Ok(None),
                _ => Err(d.error("no pointer")),
            })
        };

        let disk_version = uint(1)?;
        if disk_version > DISK_VERSION {
            return Err(newer(format!("disk version {disk_version} where CouchDB 3.5 knows {DISK_VERSION}")));
        }
        if disk_version < 4 {
            return Err(CouchFileError::Unsupported { offset, what: format!("disk version {disk_version}") });
        }
        let legacy = disk_version <= 6;
        let (purge_tree, purge_seq_tree, legacy_purge_seq, legacy_purged_docs) = if legacy {
            let docs = optional(PURGE_SEQ_TREE).map_err(damaged)?;
            (None, None, Some(uint(PURGE_TREE)?), docs)
        } else {
            (tree(PURGE_TREE)?, tree(PURGE_SEQ_TREE)?, None, None)
        };
        let uuid = field(UUID).map_or(Ok(None), |mut d| match d.token()? {
            Token::Binary(uuid) => Ok(Some(String::from_utf8_lossy(uuid).into_owned())),
            Token::Atom(_) => Ok(None),
            _ => Err(d.error("no uuid")),
        });
        // CouchDB 0.10 kept no security object.
        let security_ptr = if disk_version == 4 { None } else { optional(SECURITY_PTR).map_err(damaged)? };
        let epochs = field(EPOCHS).map_or(Ok(Vec::new()), |mut d| decode_epochs(&mut d));
        Ok(Self {
            disk_version,
            update_seq: uint(UPDATE_SEQ)?,
            time_seq_ptr: optional(TIME_SEQ_PTR)
                .map_err(damaged)?
                .filter(|&ptr| ptr > 0 && disk_version == DISK_VERSION),
            id_tree: tree(ID_TREE)?,
            seq_tree: tree(ID_TREE + 1)?,
            local_tree: tree(ID_TREE + 2)?,
            purge_tree,
            purge_seq_tree,
            legacy_purge_seq,
            legacy_purged_docs,
            security_ptr,
            revs_limit: uint(REVS_LIMIT)?,
            uuid: uuid.map_err(damaged)?,
            epochs: epochs.map_err(damaged)?,
            compacted_seq: optional(COMPACTED_SEQ).map_err(damaged)?.unwrap_or(0),
            purge_infos_limit: optional(PURGE_INFOS_LIMIT).map_err(damaged)?.unwrap_or(DEFAULT_LIMIT),
            props_ptr: optional(PROPS_PTR).map_err(damaged)?,
            elements,
        })
    }

    /// Numbers of documents that exist and that are deleted. `offset` is that of this header, for messages.
    pub fn counts(&self, offset: u64) -> Result<(u64, u64)> {
        let Some(tree) = &self.id_tree else { return Ok((0, 0)) };
        let reduction = reduction(TreeKind::Id, tree, offset)?;
        Ok((reduction.count, reduction.deleted))
    }

    /// A purge sequence that was given out, where nothing but the header is at hand: the largest one, unless compactions have
    /// dropped purges that are not remembered any more.
    pub fn least_purge_seq(&self, offset: u64) -> Result<u64> {
        match (&self.purge_seq_tree, self.legacy_purge_seq) {
            (_, Some(seq)) => Ok(seq),
            (Some(tree), None) => Ok(reduction(TreeKind::PurgeSeq, tree, offset)?.count),
            (None, None) => Ok(0),
        }
    }

    /// Whether all fields of both are equal, those included that are not known here.
    pub(crate) fn has_equal_fields(&self, other: &Self) -> bool {
        self.elements == other.elements
    }

    /// Whether the database holds nothing and never did.
    pub fn is_empty(&self) -> bool {
        self.update_seq == 0 && self.id_tree.is_none() && self.local_tree.is_none() && self.seq_tree.is_none()
    }

    /// Whether this header, found at a file's start, was put there by a compaction rather than with a new database:
    /// CouchDB copies `compacted_seq` into the one and leaves it undefined in the other. `None` if the header is too
    /// old to show it.
    pub(crate) fn began_a_compaction(&self) -> Option<bool> {
        let field = self.elements.get(COMPACTED_SEQ)?;
        Some(matches!(Decoder::new(field).token(), Ok(Token::Int(_))))
    }

    /// The trees in the order in which the header names them.
    pub fn trees(&self) -> [(&'static str, Option<&TreeState>); 5] {
        [
            ("id tree", self.id_tree.as_ref()),
            ("seq tree", self.seq_tree.as_ref()),
            ("local tree", self.local_tree.as_ref()),
            ("purge tree", self.purge_tree.as_ref()),
            ("purge seq tree", self.purge_seq_tree.as_ref()),
        ]
    }

    /// The header's term with version byte, after an edit; every other element stays as it was, to the byte.
    pub fn edited(&self, edit: &HeaderEdit) -> Vec<u8> {
        let mut elements = self.elements.clone();
        let mut set = |index: usize, value: Vec<u8>| {
            // A file of an older version ends earlier; CouchDB fills what is missing with these same defaults.
            while elements.len() <= index {
                let default = match elements.len() {
                    COMPACTED_SEQ => encoded(|e| e.uint(0)),
                    PURGE_INFOS_LIMIT => encoded(|e| e.uint(DEFAULT_LIMIT)),
                    _ => encoded(|e| e.atom(b"undefined")),
                };
                elements.push(default);
            }
            elements[index] = value;
        };
        if let Some(uuid) = &edit.uuid {
            set(UUID, encoded(|e| e.binary(uuid.as_bytes())));
        }
        if let Some(node) = &edit.node {
            let epochs = if edit.only_node {
                vec![Epoch { node: node.clone(), seq: 0 }]
            } else {
                self.epochs_from(node)
            };
            set(EPOCHS, encode_epochs(&epochs));
        }
        if let Some(limit) = edit.revs_limit {
            set(REVS_LIMIT, encoded(|e| e.uint(limit)));
        }
        if let Some(limit) = edit.purge_infos_limit {
            set(PURGE_INFOS_LIMIT, encoded(|e| e.uint(limit)));
        }
        if let Some(ptr) = edit.security_ptr {
            set(SECURITY_PTR, encoded(|e| if let Some(ptr) = ptr { e.uint(ptr) } else { e.atom(b"nil") }));
        }
        if let Some(tree) = &edit.local_tree {
            let mut encoder = Encoder::new();
            TreeState::encode(tree.as_ref(), &mut encoder);
            set(ID_TREE + 2, encoder.finish());
        }
        let mut encoder = Encoder::versioned();
        encoder.tuple(elements.len());
        for element in &elements {
            encoder.raw(element);
        }
        encoder.finish()
    }

    /// The epochs after `node` took over at the present sequence: neighbours with the same sequence are merged, the
    /// newer name stays.
    fn epochs_from(&self, node: &str) -> Vec<Epoch> {
        let mut epochs = self.epochs.clone();
        if epochs.first().is_none_or(|newest| newest.node != node) {
            epochs.retain(|epoch| epoch.seq < self.update_seq);
            epochs.insert(0, Epoch { node: node.to_owned(), seq: self.update_seq });
        }
        epochs
    }
}

/// Everything that a new file's header says.
#[derive(Debug, Clone)]
pub(crate) struct NewHeader {
    pub(crate) update_seq: u64,
    pub(crate) trees: [Option<TreeState>; 5],
    pub(crate) security_ptr: Option<u64>,
    pub(crate) revs_limit: u64,
    pub(crate) uuid: String,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) compacted_seq: u64,
    pub(crate) purge_infos_limit: u64,
    pub(crate) props_ptr: Option<u64>,
}

impl NewHeader {
    /// The term of a header of version 8, with version byte.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::versioned();
        encoder.tuple(FULL_SIZE).atom(b"db_header").uint(DISK_VERSION).uint(self.update_seq).uint(0);
        for tree in &self.trees {
            TreeState::encode(tree.as_ref(), &mut encoder);
        }
        match self.security_ptr {
            Some(ptr) => encoder.uint(ptr),
            None => encoder.atom(b"nil"),
        };
        encoder.uint(self.revs_limit).binary(self.uuid.as_bytes()).raw(&encode_epochs(&self.epochs));
        encoder.uint(self.compacted_seq).uint(self.purge_infos_limit);
        match self.props_ptr {
            Some(ptr) => encoder.uint(ptr),
            None => encoder.atom(b"undefined"),
        };
        encoder.finish()
    }
}

fn encoded(write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> Vec<u8> {
    let mut encoder = Encoder::new();
    write(&mut encoder);
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> NewHeader {
        NewHeader {
            update_seq: 7,
            trees: [None, None, None, None, None],
            security_ptr: Some(5),
            revs_limit: 20,
            uuid: "0".repeat(32),
            epochs: vec![Epoch { node: "a@b".into(), seq: 3 }, Epoch { node: "old@b".into(), seq: 0 }],
            compacted_seq: 2,
            purge_infos_limit: 77,
            props_ptr: Some(0),
        }
    }

    #[test]
    fn an_edit_changes_only_what_it_names() {
        let term = sample().encode();
        let header = DbHeader::decode(&term, 0).unwrap();
        assert_eq!(header.edited(&HeaderEdit::default()), term);
        let edit =
            HeaderEdit { uuid: Some("f".repeat(32)), node: Some("new@c".into()), ..HeaderEdit::default() };
        let edited = DbHeader::decode(&header.edited(&edit), 0).unwrap();
        assert_eq!(edited.uuid.as_deref(), Some("f".repeat(32).as_str()));
        assert_eq!(edited.epochs[0], Epoch { node: "new@c".into(), seq: 7 });
        assert_eq!(edited.epochs[1..], header.epochs[..]);
        assert_eq!((edited.revs_limit, edited.purge_infos_limit), (20, 77));
        assert_eq!((edited.security_ptr, edited.props_ptr), (Some(5), Some(0)));
    }

    #[test]
    fn epochs_of_equal_sequence_are_merged() {
        let mut new = sample();
        new.update_seq = 3;
        let header = DbHeader::decode(&new.encode(), 0).unwrap();
        let epochs = header.epochs_from("next@c");
        let names: Vec<_> = epochs.iter().map(|e| (e.node.as_str(), e.seq)).collect();
        assert_eq!(names, [("next@c", 3), ("old@b", 0)]);
        assert_eq!(header.epochs_from("a@b"), header.epochs);
    }

    #[test]
    fn refuses_what_couchdb_refuses() {
        let nine = {
            let mut e = Encoder::versioned();
            e.tuple(16).atom(b"db_header").uint(9);
            for _ in 0..14 {
                e.uint(0);
            }
            e.finish()
        };
        assert!(matches!(DbHeader::decode(&nine, 0), Err(CouchFileError::Newer { .. })));
        let seventeen = {
            let mut e = Encoder::versioned();
            e.tuple(17).atom(b"db_header").uint(8);
            for _ in 0..15 {
                e.uint(0);
            }
            e.finish()
        };
        let newer = DbHeader::decode(&seventeen, 0).unwrap_err();
        assert!(newer.to_string().contains("written by a newer CouchDB"), "{newer}");
        assert!(DbHeader::decode(b"\x83\x68\x11", 0).is_err());
        assert!(DbHeader::decode(b"", 0).is_err());
    }
}
