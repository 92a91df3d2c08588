//! Reads an object at any offset, by ranges of it.
//!
//! Requests are expensive, bytes are cheap: the object is kept in blocks, what is read in order is asked for ahead in growing pieces,
//! and the end of the object, where an archive has its table of contents, comes with the first request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use couchfile::read_at::{ReadAt, check_range};
use object_store::GetRange;
use outcome::Lock;

use crate::bucket::{Bucket, Object};
use crate::error::{Said, StoreError};
use crate::location::Service;

/// Bytes of a block.
const BLOCK: u64 = 256 << 10;
/// Bytes at the end of an object that the first request reads.
const TAIL: u64 = 1536 << 10;
/// The most blocks in one request that runs ahead of a reader.
const WINDOW: u64 = 32;
/// Bytes of a read that goes past the blocks, and of the requests that it makes: a third of what is kept.
const MUCH: u64 = 8 << 20;
/// Blocks that are kept: 24 MiB.
const KEPT: usize = 96;
/// Readers in order that are followed at once.
const STREAMS: usize = 16;
/// The most blocks that are asked for ahead at once: 12 MiB.
const AHEAD: usize = 48;

/// An object that is open for reading.
pub(crate) struct ObjectReader {
    shared: Arc<Shared>,
}

struct Shared {
    bucket: Bucket,
    object: Object,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    blocks: HashMap<u64, Bytes>,
    /// Numbers of kept blocks, the one that came first at the front.
    order: VecDeque<u64>,
    asked: HashSet<u64>,
    failed: HashMap<u64, Said>,
    streams: VecDeque<Stream>,
}

/// Somebody who reads in order.
struct Stream {
    /// The last block that was read.
    last: u64,
    /// The first block that was not asked for.
    next: u64,
    /// Blocks of the next request.
    window: u64,
}

impl ObjectReader {
    /// Opens an object.
    pub(crate) fn open(bucket: &Bucket, key: &str) -> Result<Self, StoreError> {
        let tail = bucket.run(async {
            let etag = |object: &Object| object.etag.clone();
            // Azure has no ranges from the end.
            if bucket.service() == Some(Service::Azure) {
                let (object, _) = bucket.head_marked(key).await?;
                let from = object.size.saturating_sub(TAIL);
                if object.size == 0 {
                    return Ok((object, Bytes::new()));
                }
                return bucket
                    .range(key, GetRange::Bounded(from..object.size), etag(&object).as_deref())
                    .await;
            }
            match bucket.range(key, GetRange::Suffix(TAIL), None).await {
                // An empty object has no range that could be read.
                Err(Said::Other(text)) => match bucket.head_marked(key).await? {
                    (object, _) if object.size == 0 => Ok((object, Bytes::new())),
                    _ => Err(Said::Other(text)),
                },
                tail => tail,
            }
        });
        let (object, bytes) = tail.map_err(|said| bucket.error(key, "open it", said))?;
        let mut state = State::default();
        state.keep(object.size.saturating_sub(bytes.len() as u64), &bytes, object.size);
        let object = Object { key: key.to_owned(), ..object };
        let shared =
            Shared { bucket: bucket.clone(), object, state: Mutex::new(state), arrived: Condvar::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The object's facts when it was opened.
    pub(crate) fn object(&self) -> &Object {
        &self.shared.object
    }
}

impl State {
    /// Keeps the complete blocks of these bytes, which begin at `offset`.
    fn keep(&mut self, offset: u64, bytes: &Bytes, size: u64) {
        let end = offset.saturating_add(bytes.len() as u64);
        let mut number = offset.div_ceil(BLOCK);
        loop {
            let start = number.saturating_mul(BLOCK);
            let stop = start.saturating_add(BLOCK).min(size);
            if start >= stop || stop > end {
                return;
            }
            let (from, to) = ((start - offset) as usize, (stop - offset) as usize);
            // A copy: a slice would keep the complete answer in memory.
            let block = bytes.get(from..to).map(Bytes::copy_from_slice).unwrap_or_default();
            if self.blocks.insert(number, block).is_none() {
                self.order.push_back(number);
            }
            if self.order.len() > KEPT
                && let Some(old) = self.order.pop_front()
            {
                self.blocks.remove(&old);
            }
            number += 1;
        }
    }

    /// What to ask for ahead of a reader of the blocks `first..=last`; `blocks` is how many the object has.
    fn ahead(&mut self, first: u64, last: u64, blocks: u64) -> Option<(u64, u64)> {
        // Who reads the same blocks again is not on the way to the next ones.
        let follows = |stream: &Stream| {
            last > stream.last
                && first <= stream.next
                && stream.next <= last.saturating_add(2 * stream.window + 1)
        };
        let Some(at) = self.streams.iter().position(follows) else {
            self.streams.push_front(Stream { last, next: last.saturating_add(1), window: 1 });
            self.streams.truncate(STREAMS);
            return None;
        };
        let mut stream = self.streams.remove(at)?;
        stream.last = last;
        let read_to = last.saturating_add(1);
        // The next request is made when the reader has come to the middle of what was asked for.
        let is_near = read_to.saturating_add(stream.window / 2) >= stream.next;
        let from = stream.next.max(read_to);
        let mut wanted = None;
        if is_near && from < blocks && self.asked.len() < AHEAD {
            stream.window = (stream.window * 2).min(WINDOW);
            let to = from.saturating_add(stream.window).min(blocks);
            stream.next = to;
            wanted = Some((from, to));
        }
        self.streams.push_front(stream);
        wanted
    }

    /// The runs of these blocks that are neither here nor asked for; from now on they are.
    fn ask(&mut self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for number in from..to {
            if self.blocks.contains_key(&number) || !self.asked.insert(number) {
                continue;
            }
            self.failed.remove(&number);
            match runs.last_mut() {
                Some((_, end)) if *end == number => *end += 1,
                _ => runs.push((number, number + 1)),
            }
        }
        runs
    }
}

impl Shared {
    /// Asks for these blocks, on the runtime's threads.
    fn fetch(self: &Arc<Self>, (from, to): (u64, u64)) {
        let shared = Arc::clone(self);
        self.bucket.inner.runtime.spawn(async move {
            let object = &shared.object;
            let bytes = from * BLOCK..to.saturating_mul(BLOCK).min(object.size);
            let offset = bytes.start;
            let answer =
                shared.bucket.range(&object.key, GetRange::Bounded(bytes), object.etag.as_deref()).await;
            let mut state = shared.state.locked();
            for number in from..to {
                state.asked.remove(&number);
            }
            match answer {
                Ok((_, bytes)) => state.keep(offset, &bytes, object.size),
                Err(said) => state.failed.extend((from..to).map(|number| (number, said.clone()))),
            }
            drop(state);
            shared.arrived.notify_all();
        });
    }

    /// Reads more than is ever kept, past the blocks.
    fn read_much(&self, mut buf: &mut [u8], mut offset: u64) -> Result<(), Said> {
        while !buf.is_empty() {
            let length = buf.len().min(MUCH as usize);
            let (now, later) = buf.split_at_mut(length);
            let range = GetRange::Bounded(offset..offset + length as u64);
            let (_, bytes) =
                self.bucket.run(self.bucket.range(&self.object.key, range, self.object.etag.as_deref()))?;
            now.copy_from_slice(&bytes);
            offset += length as u64;
            buf = later;
        }
        Ok(())
    }

    /// A block, once it is here.
    fn block(self: &Arc<Self>, number: u64) -> Result<Bytes, Said> {
        let mut state = self.state.locked();
        loop {
            if let Some(block) = state.blocks.get(&number) {
                return Ok(block.clone());
            }
            if let Some(said) = state.failed.remove(&number) {
                return Err(said);
            }
            // It was here, and others came since.
            let runs = state.ask(number, number + 1);
            if !runs.is_empty() {
                drop(state);
                for run in runs {
                    self.fetch(run);
                }
                state = self.state.locked();
                continue;
            }
            state = self.arrived.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl ReadAt for ObjectReader {
    fn len(&self) -> u64 {
        self.shared.object.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len(), buf.len(), offset)?;
        let Some(last_byte) = (offset + buf.len() as u64).checked_sub(1).filter(|_| !buf.is_empty()) else {
            return Ok(());
        };
        let failed = |said| {
            let doing = format!("read {} bytes at {offset}", last_byte - offset + 1);
            io::Error::from(self.shared.bucket.error(&self.shared.object.key, doing, said))
        };
        if buf.len() as u64 > MUCH {
            return self.shared.read_much(buf, offset).map_err(failed);
        }
        let (first, last) = (offset / BLOCK, last_byte / BLOCK);
        let blocks = self.len().div_ceil(BLOCK);
        let runs = {
            let mut state = self.shared.state.locked();
            let ahead = state.ahead(first, last, blocks);
            match ahead {
                // What is read now and what comes after it is one request where nothing of it is here.
                Some((from, to)) if from == last + 1 => state.ask(first, to),
                Some((from, to)) => {
                    let mut runs = state.ask(first, last + 1);
                    runs.extend(state.ask(from, to));
                    runs
                }
                None => state.ask(first, last + 1),
            }
        };
        for run in runs {
            self.shared.fetch(run);
        }
        let mut rest = buf;
        let mut at = offset;
        for number in first..=last {
            let block = self.shared.block(number).map_err(failed)?;
            let skip = (at - number * BLOCK) as usize;
            let here = block.get(skip..).unwrap_or_default();
            let length = here.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(here.get(..length).unwrap_or_default());
            rest = later;
            at += length as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_in_order_is_followed_in_growing_pieces() {
        let mut state = State::default();
        let (mut position, mut requests, mut ahead_to) = (0, 0, 0);
        while position < 1000 {
            if let Some((from, to)) = state.ahead(position, position, 1000) {
                assert!(from >= ahead_to && to <= 1000, "{from}..{to} after {ahead_to}");
                ahead_to = to;
                requests += 1;
            }
            position += 1;
        }
        assert_eq!(ahead_to, 1000);
        assert!(requests < 60, "{requests} requests for 1000 blocks");
    }

    #[test]
    fn who_jumps_is_not_followed() {
        let mut state = State::default();
        for position in [5, 900, 40, 300, 700, 123] {
            assert_eq!(state.ahead(position, position + 1, 1000), None);
        }
    }

    #[test]
    fn only_complete_blocks_are_kept() {
        let size = 3 * BLOCK + 10;
        let mut state = State::default();
        let tail = Bytes::from(vec![7; BLOCK as usize]);
        state.keep(size - BLOCK, &tail, size);
        assert_eq!(state.order, [3]);
        assert_eq!(state.blocks[&3].len(), 10);
        let all = Bytes::from(vec![1; size as usize]);
        state.keep(0, &all, size);
        assert_eq!(state.blocks.len(), 4);
    }

    #[test]
    fn nothing_is_asked_for_twice() {
        let mut state = State::default();
        assert_eq!(state.ask(2, 4), [(2, 4)]);
        assert_eq!(state.ask(1, 6), [(1, 2), (4, 6)]);
        assert_eq!(state.ask(1, 6), []);
    }
}
