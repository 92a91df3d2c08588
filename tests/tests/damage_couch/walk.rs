//! Reads everything in a file, however damaged, and remembers what was read.

use std::collections::BTreeMap;

use couchcopy_tests::{Result, memory};
use couchfile::check::check;
use couchfile::database::Database;
use couchfile::document::{self, AttachmentForm, JsonOptions};
use couchfile::error::CouchFileError;

/// Most memory that the process may ever have had resident, in KiB.
const MEMORY: u64 = 256 << 10;

/// What a file gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Where the header lay.
    pub(crate) header: u64,
    /// Whether the check found nothing.
    pub(crate) whole: bool,
    /// Every document's leaves as JSON, or what went wrong.
    pub(crate) documents: BTreeMap<Vec<u8>, Vec<String>>,
    /// Every purge in words.
    pub(crate) purges: Vec<String>,
}

/// Opens, checks and reads a file; `Err` where it does not open.
pub(crate) fn walk(bytes: &[u8]) -> Result<Walked, CouchFileError> {
    let file = Database::open(bytes.to_vec())?;
    let whole = check(&file, None).is_ok_and(|report| report.is_whole());
    let mut documents = BTreeMap::new();
    let _ = file.for_each_document(|doc| -> Result<(), CouchFileError> {
        let Some(tree) = &doc.revisions else { return Ok(()) };
        let mut leaves = Vec::new();
        for leaf in tree.leaves() {
            let mut text = Vec::new();
            let options = JsonOptions {
                revs: true,
                attachments: AttachmentForm::InlineAfter(0),
                ..JsonOptions::default()
            };
            leaves.push(match document::leaf_json(&file, doc, tree, leaf, options, &mut text) {
                Ok(()) => String::from_utf8_lossy(&text).into_owned(),
                Err(e) => e.to_string(),
            });
        }
        documents.insert(doc.id.to_vec(), leaves);
        Ok(())
    });
    let mut text = Vec::new();
    let _ = file.for_each_local(|local| document::local_json(local, &mut text));
    let mut purges = Vec::new();
    let _ = file.for_each_purge(|purge| {
        purges.push(format!("{purge:?}"));
        Ok::<(), CouchFileError>(())
    });
    let _ = file.document(b"types", |_| Ok(()));
    let _ = (file.counts(), file.purge_seq(), file.security_json(), file.props());
    Ok(Walked { header: file.header_offset(), whole, documents, purges })
}

/// Fails where the process ever used too much memory.
pub(crate) fn assert_modest_memory() -> Result<()> {
    let peak = memory::own_peak()?;
    assert!(peak < MEMORY, "{peak} KiB");
    Ok(())
}
