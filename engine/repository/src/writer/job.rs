//! A large file whose parts are read and compressed by several threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use archive::Hash;
use couchfile::read_at::ReadAt;
use outcome::{Failure, Lock as _};

use super::plan::Plan;
use super::unit::Cutter;
use crate::cut::{Cut, CutBuilder};
use crate::error::{RepositoryError, Result};
use crate::hash::{self, Value};
use crate::pack::PackWriter;
use crate::piece;
use crate::record::{Location, OwnPiece};

/// A large file on its way.
pub(super) struct LargeJob {
    name: String,
    data: Arc<dyn ReadAt>,
    size: u64,
    /// Bytes of a part.
    part: u64,
    /// If its parts are units of segments.
    cutter: Option<Cutter>,
    /// Number of the next part that nobody has begun.
    next: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

struct State {
    /// The parts that are known.
    parts: Vec<Option<Part>>,
    missing: usize,
    new_bytes: u64,
    failed: Option<Failure>,
}

enum Part {
    Piece(OwnPiece),
    Unit(Box<Cut>),
}

/// What has become of a large file.
pub(super) struct Sent {
    pub(super) at: Location,
    pub(super) blake3: Hash,
    /// Bytes that were new.
    pub(super) new_bytes: u64,
}

impl LargeJob {
    /// A file whose parts are all sent, except those that the plan has.
    pub(super) fn new(name: String, data: Arc<dyn ReadAt>, plan: Plan) -> Self {
        let (size, part) = (data.len(), plan.part());
        let (cutter, mut parts): (_, Vec<Option<Part>>) = match plan {
            Plan::Pieces(kept) => (None, kept.into_iter().map(|own| own.map(Part::Piece)).collect()),
            Plan::Units(cutter, kept) => {
                let part = |unit: Option<Cut>| unit.map(|unit| Part::Unit(Box::new(unit)));
                (Some(cutter), kept.into_iter().map(part).collect())
            }
        };
        parts.resize_with(size.div_ceil(part) as usize, || None);
        let missing = parts.iter().filter(|part| part.is_none()).count();
        Self {
            name,
            data,
            size,
            part,
            cutter,
            next: AtomicU64::new(0),
            state: Mutex::new(State { parts, missing, new_bytes: 0, failed: None }),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// Sends one part; `false` if all were begun.
    pub(super) fn work(&self, packs: &PackWriter, level: i32, buf: &mut Vec<u8>) -> bool {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number.saturating_mul(self.part) >= self.size || self.stop.load(Ordering::Relaxed) {
                return false;
            }
            if self.state.locked().parts.get(number as usize).is_some_and(Option::is_some) {
                continue;
            }
            let sent = self.send(number, packs, level, buf);
            let mut state = self.state.locked();
            match sent {
                Ok((part, new_bytes)) => {
                    if let Some(place) = state.parts.get_mut(number as usize) {
                        *place = Some(part);
                    }
                    state.new_bytes += new_bytes;
                }
                Err(failure) => {
                    state.failed.get_or_insert(failure);
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
            state.missing = state.missing.saturating_sub(1);
            drop(state);
            self.changed.notify_all();
            return true;
        }
    }

    fn send(&self, number: u64, packs: &PackWriter, level: i32, buf: &mut Vec<u8>) -> Result<(Part, u64)> {
        let offset = number * self.part;
        buf.clear();
        buf.resize((self.size - offset).min(self.part) as usize, 0);
        read(&self.name, &*self.data, buf, offset)?;
        if let Some(cutter) = &self.cutter {
            let (unit, new_bytes) = cutter.send(number, buf, packs, level)?;
            return Ok((Part::Unit(Box::new(unit)), new_bytes));
        }
        let value = hash::of_piece(number, buf);
        let encoded = piece::encode(buf, level)?;
        let new_bytes = buf.len() as u64;
        Ok((Part::Piece(OwnPiece { piece: packs.add(&encoded, new_bytes)?, value }), new_bytes))
    }

    /// Waits for the parts that others have begun.
    pub(super) fn finish(&self) -> Result<Sent> {
        let mut state = self.state.locked();
        loop {
            if let Some(failure) = state.failed.take() {
                return Err(failure);
            }
            if state.missing == 0 {
                let parts = std::mem::take(&mut state.parts);
                let new_bytes = state.new_bytes;
                drop(state);
                return self.put_together(parts, new_bytes);
            }
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn put_together(&self, parts: Vec<Option<Part>>, new_bytes: u64) -> Result<Sent> {
        let mut pieces = Vec::new();
        let mut cut = self.cutter.as_ref().map(|cutter| CutBuilder::new(cutter.average));
        for part in parts {
            match (part, &mut cut) {
                (Some(Part::Piece(piece)), None) => pieces.push(piece),
                (Some(Part::Unit(unit)), Some(cut)) => cut.append(&unit),
                _ => return Err(RepositoryError::Bug("a part of a file was not sent").into()),
            }
        }
        let (values, at): (Vec<Value>, _) = match cut {
            None => (pieces.iter().map(|own| own.value).collect(), Location::Own(pieces)),
            Some(cut) => {
                let cut = cut.finish();
                (cut.values.clone(), Location::Cut(Arc::new(cut)))
            }
        };
        let blake3 = hash::of_file(self.size, &values)
            .ok_or(RepositoryError::Bug("the pieces of a file give no hash"))?;
        Ok(Sent { at, blake3, new_bytes })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// Reads a part of a file. The failure names it.
pub(super) fn read(name: &str, data: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<()> {
    data.read_exact_at(buf, offset).map_err(|source| {
        let doing = format!("read {} bytes at {offset} of what becomes {name:?}", buf.len());
        archive::ArchiveError::Io { archive: "the new backup".to_owned(), doing, source }.into()
    })
}
