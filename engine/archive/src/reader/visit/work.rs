//! Decompresses units of work, verifies them and gives them to the visitor.

use crossbeam_channel::{Receiver, Select};
use outcome::Lock;

use super::units::{Failure, LargeUnit, PackedUnit, Unit};
use crate::entry::Location;
use crate::error::{ArchiveError, Result};
use crate::hash::hash_chunk;
use crate::reader::members::{MemberReader, chunk_sizes};
use crate::reader::shared::Shared;
use crate::visitor::{EntryInfo, Visitor};

/// Takes units, those of the first channel before all others, until all channels are done.
pub(super) fn work(
    archive: &Shared,
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
    archive: &Shared,
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
            facts: facts.then_some(&entry.facts),
        };
        visitor.small(&info, bytes).map_err(ArchiveError::Visit)?;
    }
    Ok(())
}

fn visit_chunk(
    archive: &Shared,
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

    let mut state = large.state.locked();
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
