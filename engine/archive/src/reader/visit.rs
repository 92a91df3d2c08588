//! All entries at once, on all cores, every member decompressed once.

mod dispatch;
mod units;
mod work;

use self::dispatch::{Dispatcher, Walked};
use self::units::Failure;
use self::work::work;
use super::indexed::IndexedArchive;
use super::members::ContentSize;
use super::shared::Shared;
use crate::error::{ArchiveError, Result};
use crate::names::MANIFEST;
use crate::tar::padding;
use crate::visitor::Visitor;

impl IndexedArchive {
    /// Gives all entries that are `wanted` to a visitor, on `threads` threads (0: as many as there are cores).
    ///
    /// Every entry given is verified: checksum of the member, tar header, padding, hash. Members with nothing
    /// wanted are not read. `wanted` is called once per entry, with its name, and what the manifest records beyond
    /// places and hashes is not read. The archive is read at as many places at once as there are threads, so that two threads
    /// rarely write into the same directory, whose lock would make one of them wait.
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

    /// Cuts the manifest between its blocks into parts, each with a thread of its own to read it, with or without its facts.
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
        let Shared { members, toc, toc_offset, .. } = &*self.inner;
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
