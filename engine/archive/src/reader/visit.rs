//! All entries at once, on all cores, every member decompressed once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Select, Sender};

use super::indexed::{IndexedArchive, Inner};
use super::members::{ContentSize, MemberReader, chunk_sizes};
use crate::entry::{Entry, Location};
use crate::error::{ArchiveError, Result};
use crate::hash::{ChunkHashes, hash_chunk};
use crate::names::MANIFEST;
use crate::tar::encode::header_length;
use crate::tar::padding;
use crate::visitor::{EntryInfo, LargeSink, Visitor};

/// Work for one thread.
enum Unit<'v> {
    Packed(PackedUnit),
    Chunk { large: Arc<LargeUnit<'v>>, index: u64, offset: u64, length: u64 },
}

/// A packed member with all its entries, wanted or not.
struct PackedUnit {
    offset: u64,
    length: u64,
    /// Size of the content.
    size: u64,
    entries: Vec<(Entry, bool)>,
}

/// A large entry on its way to a sink.
struct LargeUnit<'v> {
    entry: Entry,
    sink: Box<dyn LargeSink + 'v>,
    state: Mutex<LargeState>,
}

struct LargeState {
    hashes: ChunkHashes,
    /// Chunks still to come.
    missing: u64,
}

/// The first error, and whether there is one.
#[derive(Default)]
struct Failure {
    failed: AtomicBool,
    error: Mutex<Option<ArchiveError>>,
}

impl Failure {
    fn is_there(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn set(&self, error: ArchiveError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    fn into_result(self) -> Result<()> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

impl IndexedArchive {
    /// Gives all entries that are `wanted` to a visitor, on `threads` threads (0: as many as there are cores).
    ///
    /// Every entry given is verified: checksum of the member, tar header, padding, hash. Members with nothing
    /// wanted are not read. `wanted` is called once per entry, with its name, and what the manifest tells beyond places
    /// and hashes is not read. The archive is gone through at as many places at
    /// once as there are threads, so that they seldom meet in one folder, whose lock would make them wait.
    pub fn visit(
        &self,
        threads: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<()> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        self.visit_in_parts(threads, threads, false, wanted, visitor)
    }

    /// Cuts the manifest into parts of whole blocks, one thread each to go through it, with or without its facts.
    fn visit_in_parts(
        &self,
        threads: usize,
        parts: usize,
        facts: bool,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<()> {
        let blocks = self.inner.toc.manifest.len();
        let parts = parts.clamp(1, blocks.max(1));
        let failure = Failure::default();
        let mut walked: Vec<Walked> = Vec::with_capacity(parts);
        std::thread::scope(|scope| {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..parts).map(|_| crossbeam_channel::bounded(2)).unzip();
            for worker in 0..threads {
                let mut receivers = receivers.clone();
                receivers.rotate_left(worker % parts);
                scope.spawn(|| work(&self.inner, receivers, facts, visitor, &failure));
            }
            drop(receivers);
            let handles: Vec<_> = senders
                .into_iter()
                .enumerate()
                .map(|(part, sender)| {
                    let failure = &failure;
                    let range = (part * blocks / parts)..((part + 1) * blocks / parts);
                    scope.spawn(move || {
                        let mut dispatcher = Dispatcher {
                            archive: &self.inner,
                            sender,
                            failure,
                            facts,
                            pack: None,
                            walked: Walked::default(),
                        };
                        if let Err(error) = dispatcher.run(self, range, wanted, visitor) {
                            failure.set(error);
                        }
                        dispatcher.walked
                    })
                })
                .collect();
            walked.extend(handles.into_iter().filter_map(|handle| handle.join().ok()));
        });
        failure.into_result()?;
        self.check_tiling(&walked)
    }

    /// The members that the parts went through must lie end to end, from the file's beginning to the end of the data.
    fn check_tiling(&self, walked: &[Walked]) -> Result<()> {
        let gap = |from: u64, to: u64| {
            let reason = format!("no entry holds the bytes from {from} to {to}");
            Err(ArchiveError::inconsistent(self.inner.members.name(), reason))
        };
        let mut end = 0;
        for part in walked {
            let Some(start) = part.start else { continue };
            if start != end {
                return gap(end, start);
            }
            end = part.end;
        }
        if end == self.inner.toc.data_end { Ok(()) } else { gap(end, self.inner.toc.data_end) }
    }

    /// Gives all entries to a visitor, as [`IndexedArchive::visit`] does, and accounts for every byte of the
    /// file: members without a gap, a tar stream that is entries and nothing else, a manifest that agrees.
    pub fn verify(&self, threads: usize, visitor: &dyn Visitor) -> Result<()> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        // In one part: only whoever reads all of the manifest can compare its hash and totals.
        self.visit_in_parts(threads, 1, true, &|_| true, visitor)?;
        self.check_manifest_members()
    }

    /// The members around the manifest's blocks; the blocks themselves and the table of contents have been
    /// read by now.
    fn check_manifest_members(&self) -> Result<()> {
        let Inner { members, toc, toc_offset, .. } = &*self.inner;
        let begin = toc.manifest.first().map_or(*toc_offset, |block| block.offset);
        members.check_large_header(
            MANIFEST,
            toc.manifest_size(),
            toc.data_end,
            begin.saturating_sub(toc.data_end),
        )?;
        let end = toc.manifest_end().unwrap_or(begin);
        let zeros = padding(toc.manifest_size()) as u64;
        let length = toc_offset.saturating_sub(end);
        if zeros == 0 {
            if length == 0 {
                return Ok(());
            }
            return Err(ArchiveError::inconsistent(
                members.name(),
                format!("{length} unknown bytes at {end}"),
            ));
        }
        let mut content = Vec::new();
        members.read(end, length, ContentSize::Exactly(zeros), &mut content)?;
        if content.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::tar(members.name(), 0, MANIFEST, "its padding is not zero"));
        }
        Ok(())
    }
}

/// Goes through the manifest and cuts it into units.
struct Dispatcher<'a, 'v> {
    archive: &'a Inner,
    sender: Sender<Unit<'v>>,
    failure: &'a Failure,
    /// Whether the visitor gets to know what the manifest tells.
    facts: bool,
    pack: Option<PackedUnit>,
    walked: Walked,
}

/// The members that a part of the manifest names, which lie end to end.
#[derive(Debug, Default, Clone, Copy)]
struct Walked {
    /// Where the first one begins; `None` where there is none.
    start: Option<u64>,
    /// Where the last one ends.
    end: u64,
}

/// Whether a member begins with this entry.
fn begins_member(entry: &Entry) -> bool {
    match entry.at {
        Location::Packed { skip, .. } => skip == header_length(&entry.name) as u64,
        Location::Large { .. } => true,
    }
}

impl<'v> Dispatcher<'_, 'v> {
    /// Goes through the members that begin in these blocks of the manifest. A member's entries may reach into the block
    /// after them, and those at the beginning may belong to a member of the part before.
    fn run(
        &mut self,
        archive: &IndexedArchive,
        blocks: std::ops::Range<usize>,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &'v dyn Visitor,
    ) -> Result<()> {
        let all = blocks.start == 0 && blocks.end >= self.archive.toc.manifest.len();
        let entries = if all { archive.entries() } else { archive.entries_from_block(blocks.start) };
        let mut entries = if self.facts { entries } else { entries.without_facts() };
        let mut begun = blocks.start == 0;
        while let Some(entry) = entries.next() {
            if self.failure.is_there() {
                return Ok(());
            }
            let entry = entry?;
            if begins_member(&entry) {
                if entries.block() >= blocks.end {
                    break;
                }
                begun = true;
            }
            if !begun {
                continue;
            }
            let is_wanted = wanted(&entry.name);
            match entry.at {
                Location::Packed { member, length, skip } => {
                    self.add_packed(entry, is_wanted, member, length, skip)?;
                }
                Location::Large { .. } => self.add_large(entry, is_wanted, visitor)?,
            }
        }
        self.send_pack();
        Ok(())
    }

    /// Takes the place of an entry's first member, which has to be where the last one ended.
    fn advance(&mut self, entry: &str, offset: u64, length: u64) -> Result<()> {
        if self.walked.start.is_some() && offset != self.walked.end {
            let reason = format!("it lies at {offset}, and the entry before it ends at {}", self.walked.end);
            return Err(self.archive.contradiction(entry, &reason));
        }
        self.walked.start.get_or_insert(offset);
        self.walked.end = offset.saturating_add(length);
        Ok(())
    }

    fn add_packed(&mut self, entry: Entry, wanted: bool, member: u64, length: u64, skip: u64) -> Result<()> {
        if self.pack.as_ref().is_none_or(|pack| (pack.offset, pack.length) != (member, length)) {
            self.send_pack();
            self.advance(&entry.name, member, length)?;
            self.pack = Some(PackedUnit { offset: member, length, size: 0, entries: Vec::new() });
        }
        if let Some(pack) = &mut self.pack {
            if skip != pack.size + header_length(&entry.name) as u64 {
                return Err(self
                    .archive
                    .contradiction(&entry.name, "it does not follow the entry before it"));
            }
            // The manifest's reader has checked that this is little more than a chunk.
            pack.size = skip + entry.size + padding(entry.size) as u64;
            pack.entries.push((entry, wanted));
        }
        Ok(())
    }

    fn send_pack(&mut self) {
        if let Some(pack) = self.pack.take()
            && pack.entries.iter().any(|(_, wanted)| *wanted)
        {
            self.send(Unit::Packed(pack));
        }
    }

    fn add_large(&mut self, entry: Entry, wanted: bool, visitor: &'v dyn Visitor) -> Result<()> {
        self.send_pack();
        let Location::Large { start, header, chunks } = &entry.at else {
            return Ok(());
        };
        let (start, header, chunks) = (*start, *header, chunks.clone());
        let mut offset = start.saturating_add(header);
        let length = chunks.iter().fold(header, |sum, length| sum.saturating_add(u64::from(*length)));
        self.advance(&entry.name, start, length)?;
        if !wanted {
            return Ok(());
        }
        let mtime = self.archive.members.check_large_header(&entry.name, entry.size, start, header)?;
        let info = EntryInfo {
            name: &entry.name,
            size: entry.size,
            mtime,
            blake3: Some(entry.blake3),
            entry: self.facts.then_some(&entry),
        };
        let Some(sink) = visitor.large(&info).map_err(ArchiveError::Visit)? else {
            return Ok(());
        };
        let state = Mutex::new(LargeState { hashes: ChunkHashes::default(), missing: chunks.len() as u64 });
        let large = Arc::new(LargeUnit { entry, sink, state });
        for (index, length) in chunks.into_iter().enumerate() {
            let length = u64::from(length);
            self.send(Unit::Chunk { large: Arc::clone(&large), index: index as u64, offset, length });
            offset = offset.saturating_add(length);
            if self.failure.is_there() {
                break;
            }
        }
        Ok(())
    }

    fn send(&self, unit: Unit<'v>) {
        // Fails only where every worker has panicked, which ends the scope anyway.
        if self.sender.send(unit).is_err() {
            self.failure.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Takes units, those of the first channel before all others, until all channels are done.
fn work(
    archive: &Inner,
    mut channels: Vec<Receiver<Unit<'_>>>,
    facts: bool,
    visitor: &dyn Visitor,
    failure: &Failure,
) {
    let mut reader = MemberReader::new(&archive.members);
    while let Some(unit) = next_unit(&mut channels) {
        // What was sent before the failure is still to be taken off the channel.
        if failure.is_there() {
            continue;
        }
        let result = match unit {
            Unit::Packed(pack) => visit_pack(archive, &mut reader, &pack, facts, visitor),
            Unit::Chunk { large, index, offset, length } => {
                visit_chunk(archive, &mut reader, &large, index, offset, length)
            }
        };
        if let Err(error) = result {
            failure.set(error);
        }
    }
}

fn next_unit<'v>(channels: &mut Vec<Receiver<Unit<'v>>>) -> Option<Unit<'v>> {
    while let Some(own) = channels.first() {
        if let Ok(unit) = own.try_recv() {
            return Some(unit);
        }
        let mut select = Select::new();
        for channel in channels.iter() {
            select.recv(channel);
        }
        let ready = select.select();
        let index = ready.index();
        let received = channels.get(index).map(|channel| ready.recv(channel));
        match received {
            Some(Ok(unit)) => return Some(unit),
            // That part is done.
            _ => {
                channels.remove(index);
            }
        }
    }
    None
}

fn visit_pack(
    archive: &Inner,
    reader: &mut MemberReader<'_>,
    pack: &PackedUnit,
    facts: bool,
    visitor: &dyn Visitor,
) -> Result<()> {
    let content = reader.read(pack.offset, pack.length, pack.size)?;
    for (entry, wanted) in &pack.entries {
        let Location::Packed { skip, .. } = entry.at else {
            continue;
        };
        if !wanted {
            continue;
        }
        let (mtime, bytes) = archive.members.check_packed(entry, skip, content, pack.offset)?;
        let info = EntryInfo {
            name: &entry.name,
            size: entry.size,
            mtime,
            blake3: Some(entry.blake3),
            entry: facts.then_some(entry),
        };
        visitor.small(&info, bytes).map_err(ArchiveError::Visit)?;
    }
    Ok(())
}

fn visit_chunk(
    archive: &Inner,
    reader: &mut MemberReader<'_>,
    large: &LargeUnit<'_>,
    index: u64,
    offset: u64,
    length: u64,
) -> Result<()> {
    let entry = &large.entry;
    let chunk_size = archive.toc.chunk_size;
    let (content_size, size) = chunk_sizes(entry.size, chunk_size, index);
    let content = reader.read(offset, length, content_size)?;
    let bytes = archive.members.check_chunk(&entry.name, content, size)?;
    let position = index.saturating_mul(chunk_size);
    let hash = hash_chunk(position, bytes)
        .ok_or_else(|| archive.contradiction(&entry.name, "it has an empty chunk"))?;
    large.sink.chunk(position, bytes).map_err(ArchiveError::Visit)?;

    let mut state = large.state.lock().unwrap_or_else(PoisonError::into_inner);
    state.hashes.add(index, hash);
    state.missing = state.missing.saturating_sub(1);
    if state.missing > 0 {
        return Ok(());
    }
    let chunks = entry.size.div_ceil(chunk_size);
    let hash = std::mem::take(&mut state.hashes).finish(chunks);
    drop(state);
    if hash != Some(entry.blake3) {
        return Err(ArchiveError::hash(archive.members.name(), &entry.name));
    }
    large.sink.finish(&entry.blake3).map_err(ArchiveError::Visit)
}
