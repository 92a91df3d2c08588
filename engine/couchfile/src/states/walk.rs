//! Headers and states from the end of a file back.

use super::{FIRST_STEP, STEP, State};
use crate::blocks::{BLOCK, Blocks, HEADER_PREFIX};
use crate::database::{check_pointers, is_compaction};
use crate::error::{CouchFileError, Result};
use crate::header::{self, DbHeader, RawHeader};
use crate::read_at::ReadAt;

/// Why a file holds no older state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The file begins with the first header of the database.
    Creation,
    /// A compaction, or a program that writes files anew, has written everything up to the oldest state at once.
    Rewritten,
}

impl Reach {
    /// The reach of a file whose oldest state is at this sequence; a new database is empty at first.
    pub(super) fn of(oldest: u64) -> Self {
        if oldest == 0 { Self::Creation } else { Self::Rewritten }
    }
}

/// What a header is.
pub(super) enum Found {
    State(Box<State>),
    /// The beginning of a file that a compaction wrote, or a step of the compaction.
    Compaction,
}

pub(super) fn found(raw: &RawHeader) -> Result<Found> {
    if is_compaction(&raw.term) {
        return Ok(Found::Compaction);
    }
    let state = state(raw)?;
    // A compaction begins with the header of an empty database. Only the first header shows whether it did.
    let is_beginning =
        raw.offset == 0 && state.header.is_empty() && state.header.began_a_compaction() == Some(true);
    Ok(if is_beginning { Found::Compaction } else { Found::State(Box::new(state)) })
}

pub(super) fn state(raw: &RawHeader) -> Result<State> {
    let header = DbHeader::decode(&raw.term, raw.offset)?;
    check_pointers(&header, raw.offset)?;
    Ok(State { header, offset: raw.offset, end: raw.end })
}

/// Headers of any kind from the end of a part of a file back.
#[derive(Debug)]
pub(super) struct Walk<'f, R> {
    blocks: &'f Blocks<R>,
    /// The number of the first block that is searched.
    floor: u64,
    /// The number after that of the next block.
    left: u64,
    /// The number of the first block that was read last, and the bytes from there on.
    window: (u64, Vec<u8>),
    step: u64,
}

impl<'f, R: ReadAt> Walk<'f, R> {
    /// Searches the blocks that begin in these offsets.
    pub(super) fn new(blocks: &'f Blocks<R>, floor: u64, limit: u64) -> Self {
        let (floor, left) = (floor.div_ceil(BLOCK), limit.min(blocks.end()).div_ceil(BLOCK));
        Self { blocks, floor, left, window: (u64::MAX, Vec::new()), step: FIRST_STEP }
    }

    /// The next older header whose checksum is right.
    pub(super) fn next_header(&mut self) -> Result<Option<RawHeader>> {
        while self.left > self.floor {
            let block = self.left - 1;
            self.read_window(block)?;
            self.left = block;
            let at = ((block - self.window.0) * BLOCK) as usize;
            if self.window.1.get(at) == Some(&HEADER_PREFIX)
                && let Some(header) = header::read_header(self.blocks, block * BLOCK)?
            {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Has the window hold a block.
    fn read_window(&mut self, block: u64) -> Result<()> {
        if self.window.0 <= block {
            return Ok(());
        }
        let first = match self.step {
            STEP => block / STEP * STEP,
            step => (block + 1).saturating_sub(step),
        };
        let first = first.max(self.floor);
        self.step = (self.step * 16).min(STEP);
        let (start, end) = (first * BLOCK, ((block + 1) * BLOCK).min(self.blocks.end()));
        // A file system may leave gigabytes of nothing behind after a crash.
        let is_hole = self.blocks.source().hole_end(start) >= end;
        let bytes = if is_hole { Vec::new() } else { self.blocks.read_raw(start, end - start)? };
        self.window = (first, bytes);
        Ok(())
    }
}

/// The states of a database from the newest one back. Damaged headers come as errors among them; the walk goes on behind them.
#[derive(Debug)]
pub struct States<'f, R> {
    walk: Walk<'f, R>,
    newest: Option<State>,
    /// The sequence of the oldest state so far.
    oldest: u64,
    reach: Option<Reach>,
}

impl<'f, R: ReadAt> States<'f, R> {
    /// The states from this one back.
    pub(super) fn new(blocks: &'f Blocks<R>, newest: State) -> Self {
        let walk = Walk::new(blocks, 0, newest.offset);
        Self { walk, oldest: newest.seq(), newest: Some(newest), reach: None }
    }

    /// Why there is no older state; `None` until the walk has ended.
    pub fn reach(&self) -> Option<Reach> {
        self.reach
    }
}

impl<R: ReadAt> Iterator for States<'_, R> {
    type Item = Result<State>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(newest) = self.newest.take() {
            return Some(Ok(newest));
        }
        if self.reach.is_some() {
            return None;
        }
        let raw = match self.walk.next_header() {
            Ok(Some(raw)) => raw,
            Ok(None) => {
                self.reach = Some(Reach::of(self.oldest));
                return None;
            }
            Err(e) => {
                self.reach = Some(Reach::Rewritten);
                return Some(Err(e));
            }
        };
        match found(&raw) {
            Ok(Found::Compaction) => {
                self.reach = Some(Reach::Rewritten);
                None
            }
            Ok(Found::State(state)) if state.seq() > self.oldest => {
                let why = "its sequence is above that of a later header";
                Some(Err(CouchFileError::damaged("database header", raw.offset, why)))
            }
            Ok(Found::State(state)) => {
                self.oldest = state.seq();
                Some(Ok(*state))
            }
            Err(e) => Some(Err(e)),
        }
    }
}
