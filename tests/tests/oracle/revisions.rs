//! Numbers that CouchDB computed, computed again: revision ids and sizes.

use std::collections::BTreeSet;
use std::path::Path;

use couchcopy_tests::{Result, content, fixtures};
use couchfile::blocks::{self, Blocks};
use couchfile::btree::Sizes;
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::ejson::external_size;
use couchfile::read_at::FileBytes;
use couchfile::revision::{self, AttachmentDigest};
use couchfile::revtree::{RevTree, Revision};

/// Revisions whose ids clients chose (`new_edits=false`).
const CHOSEN: [&str; 10] = [
    "c 2-bb",
    "c 2-cc",
    "c 3-dd",
    "c 2-eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
    "c 3-cccccccccccccccccccccccccccccccc",
    "c 3-dddddddddddddddddddddddddddddddd",
    "c 7-ffffffffffffffffffffffffffffffff",
    "odd 1-notahash",
    "root2 1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "root2 1-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];

#[derive(Debug, Default)]
struct Seen {
    computed: u64,
    stemmed: u64,
    different: BTreeSet<String>,
    stale: BTreeSet<String>,
}

#[test]
fn revision_ids_and_sizes_are_those_that_couchdb_computed() -> Result<()> {
    let (folders, _alive) = super::all_data_folders()?;
    let mut seen = Seen::default();
    for folder in folders {
        for path in &fixtures::files_ending(&folder, "couch")? {
            check_file(&folder.join(path), &mut seen)?;
        }
    }
    assert!(seen.computed > 22_000, "{}", seen.computed);
    // The oldest revisions that low limits left; their parents are forgotten.
    assert_eq!(seen.stemmed, 4);
    let expected: BTreeSet<String> = CHOSEN.iter().map(ToString::to_string).collect();
    assert_eq!(seen.different, expected);
    // A document's sizes stay too large after a purge of one of its leaves, until it is written again.
    assert_eq!(seen.stale, ["p3".to_owned()].into());
    Ok(())
}

fn check_file(path: &Path, seen: &mut Seen) -> Result<()> {
    let file = content::open(path)?;
    let blocks = Blocks::new(FileBytes::new(std::fs::File::open(path)?)?);
    file.for_each_document(|doc| -> Result<()> {
        let tree = doc.revisions.as_ref().ok_or("no tree")?;
        let mut total = Sizes::default();
        let mut attached = BTreeSet::new();
        for rev in tree.revisions() {
            let Some(stored) = rev.stored else { continue };
            let name = format!("{} {} {rev}", path.display(), String::from_utf8_lossy(doc.id));
            let summary = file.summary(&stored)?;
            let external = external_size(&mut summary.body.decoder())?;
            assert_eq!(stored.sizes.external, external, "{name}");
            let ptr = stored.summary.ok_or("no pointer")?;
            let chunk = blocks.read_chunk(ptr, "summary")?;
            assert!(chunk.checksum.is_some(), "{name}");
            let written = blocks::written_len(ptr, 20 + chunk.payload.len() as u64);
            assert_eq!(stored.sizes.active, written, "{name}");
            if rev.children == 0 {
                total = total.plus(stored.sizes);
                for attachment in &summary.attachments {
                    let place = attachment.pieces.first().map(|piece| piece.ptr);
                    attached.insert((place, attachment.stored_len));
                }
            }
            check_revision(&file, doc, tree, rev, seen)?;
        }
        let attached: u64 = attached.iter().map(|(_, len)| len).sum();
        let total = total.plus(Sizes { active: attached, external: attached });
        if doc.sizes != total {
            seen.stale.insert(String::from_utf8(doc.id.to_vec())?);
            assert!(doc.sizes.active > total.active && doc.sizes.external > total.external);
        }
        Ok(())
    })
}

fn check_revision(
    file: &Database<FileBytes>,
    doc: &DocInfo<'_>,
    tree: &RevTree<'_>,
    rev: &Revision<'_>,
    seen: &mut Seen,
) -> Result<()> {
    let parent = rev.parent.map(|i| (tree.revisions()[i].generation, tree.revisions()[i].id.0));
    if parent.is_none() && rev.generation > 1 {
        seen.stemmed += 1;
        return Ok(());
    }
    let stored = rev.stored.ok_or("no body")?;
    let summary = file.summary(&stored)?;
    let mut digests = Vec::new();
    for attachment in &summary.attachments {
        digests.push(AttachmentDigest {
            name: attachment.name.as_bytes(),
            content_type: attachment.content_type.as_bytes(),
            md5: attachment.md5.as_slice().try_into()?,
        });
    }
    let (generation, id) = revision::next(parent, stored.deleted, summary.body.as_slice(), &digests);
    assert_eq!(generation, rev.generation);
    seen.computed += 1;
    if id != rev.id.0 {
        seen.different.insert(format!("{} {rev}", String::from_utf8_lossy(doc.id)));
    }
    Ok(())
}
