//! What the threads of a pipeline share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use couchfile::read_at::ReadAt;
use outcome::Lock;

use crate::error::Result;
use crate::writer::source::Segment;

/// Most sources that are opened in one go.
const LARGEST_BATCH: usize = 128;

/// A piece of work for any thread.
pub(super) enum Job {
    /// Make a member of this.
    Compress(Vec<u8>),
    /// Make a member of `length` bytes at `offset`, and hash them.
    Chunk { name: Arc<str>, data: Arc<dyn ReadAt>, offset: u64, length: usize, padding: usize },
}

impl Job {
    fn weight(&self) -> usize {
        match self {
            Self::Compress(content) => content.len(),
            Self::Chunk { length, .. } => *length,
        }
    }
}

/// A member, ready to be written.
pub(super) struct Done {
    pub(super) member: Vec<u8>,
    /// Hash of a chunk.
    pub(super) hash: Option<[u8; 32]>,
}

/// What a worker does next.
pub(super) enum Work<S> {
    Job { id: u64, weight: usize, job: Job },
    Open { start: u64, sources: IntoIter<S> },
}

/// What the calling thread does next.
pub(super) enum Step {
    Write(Result<Done>),
    Cut,
    Take(Segment),
    End,
    Panicked,
}

/// What the calling thread could go on with.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    /// The unit to be written next.
    pub(super) unit: Option<u64>,
    /// A large entry is being cut.
    pub(super) cutting: bool,
}

pub(super) struct Shared<S, I> {
    state: Mutex<State<S, I>>,
    /// Something for the workers has changed.
    work: Condvar,
    /// Something for the calling thread has changed.
    results: Condvar,
    /// Bytes that a segment may have, and that a large chunk has.
    chunk_size: usize,
    /// Bytes in flight above which nothing more is cut.
    limit: usize,
}

struct State<S, I> {
    /// Not there while a worker takes sources from it.
    sources: Option<I>,
    exhausted: bool,
    /// Number of sources taken.
    taken: u64,
    /// Sources that were taken together with too large ones, by number.
    returned: BTreeMap<u64, IntoIter<S>>,
    /// Opened sources, by number of the first.
    segments: BTreeMap<u64, Segment>,
    /// Number of the source that the calling thread needs next.
    expected: u64,
    jobs: VecDeque<(u64, Job)>,
    done: BTreeMap<u64, Result<Done>>,
    /// Bytes held by segments, jobs and results, and those that segments being opened may come to hold.
    in_flight: usize,
    /// What a source comes to in bytes.
    average: usize,
    /// Streams that were opened and are not yet cut into chunks completely.
    streams: usize,
    /// One of them is being cut.
    cutting_stream: bool,
    stop: bool,
    panicked: bool,
}

impl<S, I> Shared<S, I> {
    pub(super) fn new(sources: I, chunk_size: usize, threads: usize) -> Self {
        Self {
            state: Mutex::new(State {
                sources: Some(sources),
                exhausted: false,
                taken: 0,
                returned: BTreeMap::new(),
                segments: BTreeMap::new(),
                expected: 0,
                jobs: VecDeque::new(),
                done: BTreeMap::new(),
                in_flight: 0,
                average: 16 << 10,
                streams: 0,
                cutting_stream: false,
                stop: false,
                panicked: false,
            }),
            work: Condvar::new(),
            results: Condvar::new(),
            chunk_size,
            limit: chunk_size.saturating_mul(8_usize.saturating_add(threads.saturating_mul(4))),
        }
    }

    /// The state stays consistent where a thread panics, and then it is only used to stop.
    fn lock(&self) -> MutexGuard<'_, State<S, I>> {
        self.state.locked()
    }

    /// Stops the workers when dropped.
    pub(super) fn stop_on_drop(&self) -> StopOnDrop<'_, S, I> {
        StopOnDrop { shared: self }
    }

    /// Waits for what the calling thread can do.
    pub(super) fn next_step(&self, waiting: Waiting) -> Step {
        let mut state = self.lock();
        loop {
            if state.panicked {
                return Step::Panicked;
            }
            if let Some(done) = waiting.unit.and_then(|unit| state.done.remove(&unit)) {
                if let Ok(done) = &done {
                    state.release(done.member.len());
                    self.work.notify_all();
                }
                return Step::Write(done);
            }
            if waiting.cutting {
                if waiting.unit.is_none() || state.in_flight.saturating_add(self.chunk_size) <= self.limit {
                    return Step::Cut;
                }
            } else if let Some(segment) = {
                let expected = state.expected;
                state.segments.remove(&expected)
            } {
                state.expected += segment.count;
                state.cutting_stream = segment.streams();
                state.release(segment.weight());
                self.work.notify_all();
                return Step::Take(segment);
            } else if waiting.unit.is_none() && state.exhausted && state.expected == state.taken {
                return Step::End;
            }
            state = self.results.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The stream that was being cut has become chunks to its end.
    pub(super) fn stream_is_cut(&self) {
        let mut state = self.lock();
        state.streams = state.streams.saturating_sub(1);
        state.cutting_stream = false;
        drop(state);
        self.work.notify_all();
    }

    /// Gives work to the workers, in order.
    pub(super) fn add_jobs(&self, jobs: Vec<(u64, Job)>) {
        let mut state = self.lock();
        for (id, job) in jobs {
            state.in_flight += job.weight();
            state.jobs.push_back((id, job));
        }
        drop(state);
        self.work.notify_all();
    }
}

impl<S, I: Iterator<Item = S>> Shared<S, I> {
    /// Waits for work; `None` at the end.
    pub(super) fn next_work(&self) -> Option<Work<S>> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some((id, job)) = state.jobs.pop_front() {
                return Some(Work::Job { id, weight: job.weight(), job });
            }
            let room = state.in_flight < self.limit / 2 && state.streams == 0;
            if state.cutting_stream {
                // Chunks only.
            } else if let Some(start) = state.returned.first_key_value().map(|(start, _)| *start) {
                if (room || start == state.expected)
                    && let Some(sources) = state.returned.remove(&start)
                {
                    state.in_flight += self.chunk_size;
                    return Some(Work::Open { start, sources });
                }
            } else if (room || state.taken == state.expected)
                && let Some(iterator) = state.sources.take()
            {
                state = match self.take_sources(state, iterator) {
                    (_, Some(work)) => return Some(work),
                    (state, None) => state,
                };
                continue;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a batch of sources, without holding the lock in the meantime: the iterator may do anything.
    fn take_sources<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<S, I>>,
        mut iterator: I,
    ) -> (MutexGuard<'a, State<S, I>>, Option<Work<S>>) {
        let wanted = (self.chunk_size / state.average.max(1)).clamp(1, LARGEST_BATCH);
        state.in_flight += self.chunk_size;
        drop(state);
        let batch: Vec<S> = iterator.by_ref().take(wanted).collect();
        let mut state = self.lock();
        let start = state.taken;
        state.taken += batch.len() as u64;
        if batch.len() < wanted {
            state.exhausted = true;
        } else {
            state.sources = Some(iterator);
        }
        self.work.notify_all();
        self.results.notify_all();
        if batch.is_empty() {
            state.release(self.chunk_size);
            return (state, None);
        }
        (state, Some(Work::Open { start, sources: batch.into_iter() }))
    }

    /// Hands in an opened segment, and what was not opened of its batch.
    pub(super) fn put_segment(&self, start: u64, segment: Segment, rest: IntoIter<S>) {
        let mut state = self.lock();
        state.release(self.chunk_size);
        state.in_flight += segment.weight();
        state.streams += usize::from(segment.streams());
        let average = segment.weight() / usize::try_from(segment.count.max(1)).unwrap_or(usize::MAX);
        state.average = (state.average.saturating_mul(3).saturating_add(average)) / 4;
        if !rest.as_slice().is_empty() {
            state.returned.insert(start + segment.count, rest);
        }
        state.segments.insert(start, segment);
        drop(state);
        self.work.notify_all();
        self.results.notify_all();
    }

    /// Hands in the result of a job.
    pub(super) fn put_done(&self, id: u64, weight: usize, done: Result<Done>) {
        let mut state = self.lock();
        state.release(weight);
        state.in_flight += done.as_ref().map_or(0, |done| done.member.len());
        state.done.insert(id, done);
        drop(state);
        self.work.notify_all();
        self.results.notify_all();
    }
}

impl<S, I> State<S, I> {
    fn release(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }
}

/// Ends the run when a thread leaves it: always when the calling thread does, for a worker when it panics.
pub(super) struct StopOnDrop<'a, S, I> {
    shared: &'a Shared<S, I>,
}

impl<S, I> Drop for StopOnDrop<'_, S, I> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stop = true;
        drop(state);
        self.shared.work.notify_all();
    }
}

/// Tells the calling thread where a worker panics: it would wait for ever.
pub(super) struct TellPanic<'a, S, I>(pub(super) &'a Shared<S, I>);

impl<S, I> Drop for TellPanic<'_, S, I> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().panicked = true;
            self.0.results.notify_all();
        }
    }
}
