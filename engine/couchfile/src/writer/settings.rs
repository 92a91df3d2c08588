//! What a new database is to be: everything but its documents.

use std::io::Write;

use super::appender::Appender;
use crate::compression::Compression;
use crate::error::{CouchFileError, Result, TermError};
use crate::header::{Epoch, NewHeader, TreeState};
use crate::term::{Decoder, Encoder};

/// What a new database is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// 32 lower-case hexadecimal digits; no other live copy may have the same uuid.
    pub uuid: String,
    /// Name of the node that will open the file.
    pub node: String,
    /// How many revisions of a document are remembered.
    pub revs_limit: u64,
    /// How many purges are remembered.
    pub purge_infos_limit: u64,
    /// The security object: an object as a term, without version byte. `None`: CouchDB's default, for admins only.
    pub security: Option<Vec<u8>>,
    /// Whether documents are placed by partition.
    pub partitioned: bool,
    /// How terms are packed.
    pub compression: Compression,
}

/// Where the settings are in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) props_ptr: u64,
    pub(super) security_ptr: u64,
}

impl Settings {
    /// CouchDB's defaults for a database with this uuid on this node.
    pub fn new(uuid: String, node: &str) -> Self {
        Self {
            uuid,
            node: node.to_owned(),
            revs_limit: 1000,
            purge_infos_limit: 1000,
            security: None,
            partitioned: false,
            compression: Compression::default(),
        }
    }
}

impl Settings {
    /// Fails if CouchDB would not open a database made so.
    pub(super) fn validate(&self) -> Result<()> {
        validate_uuid(&self.uuid)?;
        validate_node(&self.node)
    }

    /// Begins a file with the properties and the security object; `out` gets it from offset 0 on.
    ///
    /// Fails if the uuid or the node name is malformed.
    pub(super) fn begin<W: Write>(&self, out: W) -> Result<(Appender<W>, Written)> {
        self.validate()?;
        let mut out = Appender::new(out, 0, self.compression);
        let props_ptr = out.term(&self.props())?.ptr;
        let security_ptr = out.term(&self.security()?)?.ptr;
        Ok((out, Written { props_ptr, security_ptr }))
    }

    /// The header of a complete file with these trees: by id, by sequence, local documents, purges, purges by sequence.
    pub(super) fn header(
        &self,
        update_seq: u64,
        trees: [Option<TreeState>; 5],
        written: Written,
    ) -> NewHeader {
        NewHeader {
            update_seq,
            trees,
            security_ptr: Some(written.security_ptr),
            revs_limit: self.revs_limit,
            uuid: self.uuid.clone(),
            epochs: vec![Epoch { node: self.node.clone(), seq: 0 }],
            compacted_seq: 0,
            purge_infos_limit: self.purge_infos_limit,
            props_ptr: Some(written.props_ptr),
        }
    }

    /// The properties as a term with version byte: a list of pairs.
    pub(super) fn props(&self) -> Vec<u8> {
        let mut props = Encoder::versioned();
        if self.partitioned {
            props.list(2).tuple(2).atom(b"partitioned").bool(true);
            props.tuple(2).atom(b"hash").list(3).atom(b"couch_partition").atom(b"hash").nil().nil();
        }
        props.nil();
        props.finish()
    }

    /// The security object as a term with version byte. In the file it stands without its 1-tuple.
    pub(super) fn security(&self) -> Result<Vec<u8>> {
        let mut security = Encoder::versioned();
        match &self.security {
            Some(object) => {
                let members = object_members(object)
                    .map_err(|e| CouchFileError::Invalid(format!("the security object: {e}")))?;
                security.raw(members);
            }
            None => {
                security.raw(&default_security());
            }
        }
        Ok(security.finish())
    }
}

/// The list of pairs of an object given as a term; fails where it is none.
pub(crate) fn object_members(object: &[u8]) -> Result<&[u8], TermError> {
    let mut decoder = Decoder::new(object);
    decoder.tuple_of(1)?;
    let members = &object[decoder.position()..];
    decoder.list_items(|d| -> Result<(), TermError> {
        d.tuple_of(2)?;
        d.skip()?;
        d.skip()
    })?;
    decoder.end()?;
    Ok(members)
}

/// Fails if a text is not 32 lower-case hexadecimal digits.
pub(crate) fn validate_uuid(uuid: &str) -> Result<()> {
    if uuid.len() == 32 && uuid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(CouchFileError::Invalid(format!(
        "the uuid \"{uuid}\", which is not 32 lower-case hexadecimal digits"
    )))
}

/// Fails if a text cannot be a node's name: an atom, which has 1 to 255 bytes.
pub(crate) fn validate_node(node: &str) -> Result<()> {
    if node.contains('@') && node.len() <= 255 {
        return Ok(());
    }
    Err(CouchFileError::Invalid(format!("the node name \"{node}\", which is not of the form name@host")))
}

/// A random uuid: 32 lower-case hexadecimal digits.
///
/// Fails if the system gives no random bytes.
pub fn random_uuid() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| CouchFileError::Write(std::io::Error::other(e.to_string())))?;
    Ok(hex::encode(bytes))
}

/// `{"members":{"roles":["_admin"]},"admins":{"roles":["_admin"]}}` as CouchDB stores it.
fn default_security() -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.list(2);
    for who in [b"members".as_slice(), b"admins"] {
        encoder.tuple(2).binary(who).tuple(1).list(1);
        encoder.tuple(2).binary(b"roles").list(1).binary(b"_admin").nil().nil();
    }
    encoder.nil();
    encoder.finish()
}
