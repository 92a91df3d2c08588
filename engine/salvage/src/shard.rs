//! Recovers the documents of one shard from all of its copies.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use couchfile::compression::Compression;
use couchfile::data_dir::{Range, document_hash};
use couchfile::document::{Attachment, read_attachment};
use couchfile::ejson;
use couchfile::error::CouchFileError;
use couchfile::term::{Decoder, Encoder};
use couchfile::writer::{OrderedWriter, Settings, random_uuid};

use crate::copy::{Copy, Purged, ScannedCopy};
use crate::found::Found;
use crate::judge::{Judge, Verdict};
use crate::kept::{self, Kept, KeptAttachment};
use crate::report::{DocumentLine, Grade, ShardReport};
use crate::sort::{Merged, Sorter};

/// Bytes of entries of one document that are looked at: those that may be its newest state, and older ones.
const MAX_LIVE: usize = 24 << 20;
const MAX_HISTORY: usize = 8 << 20;

/// CouchDB's default security object.
const ADMINS_ONLY: &str = r#"{"members":{"roles":["_admin"]},"admins":{"roles":["_admin"]}}"#;

/// What a group of copies is.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Path of the new file below the data directory.
    pub path: String,
    /// The database's name, for the report.
    pub database: String,
    /// The part of the hash space; `None` if the file is not a shard.
    pub range: Option<Range>,
    /// Whether nodes that are found by searching prove nothing, because somebody may have attached content that looks like nodes.
    pub strict: bool,
}

/// Why a shard could not be recovered: never because of damage.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// A temporary file or the output could not be written.
    #[error("cannot write")]
    Io(#[from] io::Error),
    /// A file could not be read or written in a way that has nothing to do with damage.
    #[error(transparent)]
    File(#[from] CouchFileError),
}

/// What a shard is recovered to.
pub trait Output {
    /// Begins a new file: of the proven documents, or (`apart`) of those that nothing proves. `None`: only a report is wanted.
    fn create(&mut self, apart: bool) -> io::Result<Option<Box<dyn Write>>>;

    /// Takes what is left of a document.
    fn document(&mut self, line: &DocumentLine) -> io::Result<()>;
}

/// Recovers the documents of one shard from its copies: the union of what is proven in any of them.
///
/// `scratch` is a directory for temporary files, which have no names. `passed` is called with the bytes that were read since the last
/// call. Memory: about 150 MB at most, whatever the size of the files.
pub fn salvage_shard(
    shard: &Shard,
    copies: Vec<Copy>,
    scratch: &Path,
    output: &mut dyn Output,
    passed: &mut dyn FnMut(u64),
) -> Result<ShardReport, ShardError> {
    let mut sorter = Sorter::new(scratch);
    let mut purged = Purged::new();
    let mut scanned = Vec::with_capacity(copies.len());
    for (number, copy) in copies.into_iter().enumerate().take(usize::from(u16::MAX)) {
        let mut reached = 0;
        let mut on = |at: u64| {
            passed(at.saturating_sub(reached));
            reached = at;
        };
        let mut found = |found: Found| Ok::<(), ShardError>(sorter.add(found)?);
        scanned.push(ScannedCopy::read(copy, number as u16, &mut purged, &mut on, &mut found)?);
        let length = scanned.last().map_or(0, ScannedCopy::len);
        on(length);
    }
    let mut report = ShardReport {
        path: shard.path.clone(),
        database: shard.database.clone(),
        copies: scanned.iter().map(|copy| copy.report.clone()).collect(),
        recorded: scanned.iter().filter_map(recorded).max(),
        ..ShardReport::default()
    };
    let settings = settings(shard, &scanned, &mut report.notes)?;
    let partitioned = is_partitioned(&scanned);
    let belongs = |id: &[u8]| {
        let may = |is: bool| partitioned.is_none_or(|partitioned| partitioned == is);
        let at = |is: bool| shard.range.is_none_or(|range| range.contains(document_hash(id, is)));
        (may(false) && at(false)) || (may(true) && at(true))
    };
    let judge = Judge { copies: &scanned, purged: &purged, belongs: &belongs, strict: shard.strict };

    let mut merged = sorter.finish()?;
    let mut main = NewFile::new(settings.clone(), false);
    let mut apart = NewFile::new(settings, true);
    while let Some(entries) = next_document(&mut merged, &scanned)? {
        let Some(id) = entries.first().map(|found| found.id.clone()) else { continue };
        let Some(verdict) = judge.judge(&entries) else {
            report.documents.purged += 1;
            continue;
        };
        let line = line(shard, &id, &verdict);
        report.documents.add(&line);
        main.add(&id, &verdict.kept, &scanned, output)?;
        apart.add(&id, &verdict.unproven, &scanned, output)?;
        output.document(&line)?;
    }
    // A database without documents is a database, too.
    main.begin(output)?;
    main.finish()?;
    apart.finish()?;
    for (copy, report) in scanned.iter().zip(&mut report.copies) {
        report.unreadable = copy.blocks.source().unreadable();
    }
    Ok(report)
}

/// The entries of the next document, as many as fit in memory, those first that may be its newest state.
fn next_document(merged: &mut Merged, copies: &[ScannedCopy]) -> io::Result<Option<Vec<Found>>> {
    let Some(first) = merged.next_entry()? else { return Ok(None) };
    let id = first.id.clone();
    let (mut live, mut history) = (0, 0);
    let mut entries = Vec::new();
    let mut next = Some(first);
    while let Some(found) = next {
        let is_live = copies.get(usize::from(found.copy)).is_some_and(|copy| copy.may_be_newest(&found));
        let (taken, limit) = if is_live { (&mut live, MAX_LIVE) } else { (&mut history, MAX_HISTORY) };
        if *taken < limit {
            *taken += found.memory();
            entries.push(found);
        }
        next = if merged.next_id() == Some(id.as_slice()) { merged.next_entry()? } else { None };
    }
    Ok(Some(entries))
}

/// Documents that the header of a copy counts, deleted documents included.
fn recorded(copy: &ScannedCopy) -> Option<u64> {
    let (documents, deleted) = copy.header.as_ref()?.counts(0).ok()?;
    documents.checked_add(deleted)
}

fn line(shard: &Shard, id: &[u8], verdict: &Verdict) -> DocumentLine {
    let best = verdict.kept.first();
    let shown = best.or_else(|| verdict.unproven.first().filter(|_| verdict.grade == Grade::Unproven));
    let lost = shown.map_or(&[][..], |kept| &kept.attachments).iter().filter(|a| a.copy.is_none());
    DocumentLine {
        database: shard.database.clone(),
        id: String::from_utf8_lossy(id).into_owned(),
        grade: verdict.grade,
        rev: shown.map(Kept::rev),
        deleted: shown.is_some_and(|kept| kept.deleted),
        newest: verdict.newest,
        lost_rev: verdict.lost_rev.clone(),
        unproven_rev: verdict.unproven.first().map(Kept::rev),
        lost_attachments: lost.map(|a| a.attachment.name.clone()).collect(),
        lost_conflicts: verdict.lost_conflicts,
    }
}

/// A file that begins with its first document.
struct NewFile {
    settings: Option<Settings>,
    apart: bool,
    writer: Option<OrderedWriter<Box<dyn Write>>>,
}

impl NewFile {
    fn new(settings: Settings, apart: bool) -> Self {
        Self { settings: Some(settings), apart, writer: None }
    }

    fn begin(&mut self, output: &mut dyn Output) -> Result<(), ShardError> {
        if let Some(settings) = self.settings.take()
            && let Some(file) = output.create(self.apart)?
        {
            self.writer = Some(OrderedWriter::new(file, settings)?);
        }
        Ok(())
    }

    fn add(
        &mut self,
        id: &[u8],
        revisions: &[Kept],
        copies: &[ScannedCopy],
        output: &mut dyn Output,
    ) -> Result<(), ShardError> {
        if revisions.is_empty() {
            return Ok(());
        }
        self.begin(output)?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let document = kept::document(id, revisions, |attachment| place(writer, attachment, copies))?;
        Ok(writer.add(&document)?)
    }

    fn finish(self) -> Result<(), ShardError> {
        if let Some(writer) = self.writer {
            writer.finish()?.flush()?;
        }
        Ok(())
    }
}

/// Copies an attachment into the new file; `None` if it is lost.
fn place<W: Write>(
    writer: &mut OrderedWriter<W>,
    kept: &KeptAttachment,
    copies: &[ScannedCopy],
) -> Result<Option<Attachment>, ShardError> {
    let Some(copy) = kept.copy.and_then(|copy| copies.get(usize::from(copy))) else { return Ok(None) };
    let mut pieces = Vec::new();
    let read =
        read_attachment(&copy.blocks, &kept.attachment, |bytes| writer.attachment_bytes(bytes, &mut pieces));
    match read {
        Ok(()) => Ok(Some(Attachment { pieces, ..kept.attachment.clone() })),
        Err(error @ CouchFileError::Write(_)) => Err(error.into()),
        // It was there when it was checked; a disk can change its mind.
        Err(_) => Ok(None),
    }
}

/// What the new file is to be besides its documents.
fn settings(shard: &Shard, copies: &[ScannedCopy], notes: &mut Vec<String>) -> Result<Settings, ShardError> {
    let newest = copies.iter().filter_map(|copy| copy.header.as_ref()).max_by_key(|header| header.update_seq);
    let node = newest.and_then(|header| header.epochs.first()).map(|epoch| epoch.node.clone());
    let node = node.filter(|node| node.contains('@') && node.len() <= 255);
    let mut settings = Settings::new(random_uuid()?, node.as_deref().unwrap_or("couchdb@127.0.0.1"));
    if let Some(header) = newest {
        settings.revs_limit = header.revs_limit.max(1);
        settings.purge_infos_limit = header.purge_infos_limit.max(1);
    } else {
        notes.push(
            "no file has a valid header: revs_limit and purged_infos_limit have CouchDB's defaults".into(),
        );
    }
    settings.compression = Compression::Snappy;
    let partitioned = is_partitioned(copies);
    settings.partitioned = partitioned.unwrap_or(false);
    if partitioned.is_none() && shard.range.is_some() {
        notes.push(
            "no file shows whether the database is partitioned: the new file says that it is not".into(),
        );
    }
    settings.security = security(shard, copies, notes);
    Ok(settings)
}

/// Whether the database is partitioned; `None` if no copy shows it. The properties carry no checksum, but there are only two kinds,
/// and no damage makes one of the other.
fn is_partitioned(copies: &[ScannedCopy]) -> Option<bool> {
    copies.iter().find_map(|copy| {
        let pointer = copy.header.as_ref()?.props_ptr;
        let Some(pointer) = pointer else { return Some(false) };
        let (term, _) = copy.blocks.read_term(pointer, "properties").ok()?;
        if term.as_slice() == Encoder::new().nil().as_bytes() {
            return Some(false);
        }
        let name = b"partitioned";
        term.as_slice().windows(name.len()).any(|window| window == name).then_some(true)
    })
}

/// The security object, if two copies have the same; it carries no checksum.
fn security(shard: &Shard, copies: &[ScannedCopy], notes: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut objects: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for copy in copies {
        let pointer = copy.header.as_ref().and_then(|header| header.security_ptr);
        let Some(Ok((term, _))) = pointer.map(|at| copy.blocks.read_term(at, "security object")) else {
            continue;
        };
        let mut object = Encoder::new();
        object.tuple(1).raw(term.as_slice());
        let object = object.finish();
        if as_json(&object).is_some() {
            *objects.entry(object).or_default() += 1;
        }
    }
    let (object, number) = objects.into_iter().max_by_key(|(_, number)| *number)?;
    if number >= 2 {
        return Some(object);
    }
    let text = as_json(&object).unwrap_or_default();
    if shard.range.is_some() && text != ADMINS_ONLY {
        notes.push(format!(
            "the security object is in one copy only, and nothing proves it, so the new file is for admins only. Set it with \
             PUT /{}/_security if it is right: {text}",
            shard.database
        ));
    }
    None
}

fn as_json(object: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    let mut decoder = Decoder::new(object);
    ejson::write_json(&mut decoder, &mut text).ok()?;
    decoder.end().ok()?;
    String::from_utf8(text).ok().filter(|text| text.starts_with('{'))
}
