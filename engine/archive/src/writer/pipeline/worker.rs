//! A worker thread.

use super::state::{Done, Job, Shared, TellPanic, Work};
use crate::error::{ArchiveError, Result};
use crate::gzip::{Deflater, Kind};
use crate::hash::hash_chunk;
use crate::writer::NEW_ARCHIVE;
use crate::writer::source::{EntrySource, open_segment, read_chunk};

/// Works until there is nothing left to do.
pub(super) fn run<S: EntrySource, I: Iterator<Item = S>>(
    shared: &Shared<S, I>,
    level: i32,
    chunk_size: usize,
) {
    let _tell = TellPanic(shared);
    let mut deflater = Deflater::new(level);
    let mut buf = Vec::new();
    while let Some(work) = shared.next_work() {
        match work {
            Work::Open { start, mut sources } => {
                let segment = open_segment(&mut sources, &mut buf, chunk_size, chunk_size);
                shared.put_segment(start, segment, sources);
            }
            Work::Job { id, weight, job } => {
                shared.put_done(id, weight, do_job(job, &mut deflater, &mut buf));
            }
        }
    }
}

fn do_job(job: Job, deflater: &mut Deflater, buf: &mut Vec<u8>) -> Result<Done> {
    match job {
        Job::Compress(content) => Ok(Done { member: deflater.member(&content, Kind::Packed), hash: None }),
        Job::Chunk { name, data, offset, length, padding } => {
            buf.resize(length + padding, 0);
            let (content, zeros) = buf.split_at_mut(length);
            read_chunk(&name, data.as_ref(), content, offset)?;
            zeros.fill(0);
            let hash = hash_chunk(offset, content).ok_or_else(|| {
                ArchiveError::refused(NEW_ARCHIVE, &name, "it became empty while it was read")
            })?;
            Ok(Done { member: deflater.member(buf, Kind::Chunk), hash: Some(hash) })
        }
    }
}
