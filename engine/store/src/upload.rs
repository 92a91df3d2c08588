//! Writes an object of unknown length in parts. It gets its name when it is complete.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::{Attribute, Attributes, PutMode, PutMultipartOptions};
use tokio::task::JoinHandle;

use crate::bucket::{Bucket, path};
use crate::error::{Said, StoreError, is_temporary, said};
use crate::location::Service;

/// Bytes of the smallest and of the largest part. Parts of all services but the last must have 5 MiB.
const PART: std::ops::RangeInclusive<u64> = 8 << 20..=64 << 20;
/// The most parts that every store takes, and that S3 and Google take.
const PARTS_EVERYWHERE: u64 = 1000;
const PARTS: usize = 10_000;
/// After so many parts of an object of unknown size the next ones are twice as large.
const GROW_AFTER: usize = 250;
/// Bytes of all parts that are on their way.
const IN_FLIGHT: u64 = 128 << 20;
/// How often an upload is begun again where it is not known whether the store has begun it.
const BEGIN_RETRIES: u32 = 6;

/// The attribute by which an object is recognised as the one that this process has written.
pub(crate) fn mark() -> Attribute {
    Attribute::Metadata(Cow::Borrowed("couchcopy-upload"))
}

/// An object that is being written. Without [`Upload::commit`] it does not come to be.
pub(crate) struct Upload {
    bucket: Bucket,
    key: String,
    overwrite: bool,
    part_size: usize,
    in_flight: usize,
    is_size_known: bool,
    buffer: Vec<u8>,
    begun: Option<Begun>,
    written: u64,
    failed: Option<Said>,
}

struct Begun {
    id: String,
    mark: String,
    number: usize,
    on_their_way: VecDeque<JoinHandle<Result<PartId, Said>>>,
    parts: Vec<PartId>,
}

impl Upload {
    /// Prepares an upload of about `expected` bytes. No request is made.
    pub(crate) fn new(bucket: &Bucket, key: &str, overwrite: bool, expected: u64) -> Self {
        let part = part_size(expected);
        let in_flight = (IN_FLIGHT / part).clamp(1, 8) as usize;
        Self {
            bucket: bucket.clone(),
            key: key.to_owned(),
            overwrite,
            part_size: part as usize,
            in_flight,
            is_size_known: expected > 0,
            buffer: Vec::new(),
            begun: None,
            written: 0,
            failed: None,
        }
    }

    fn error(&self, doing: &str, said: Said) -> StoreError {
        self.bucket.error(&self.key, doing, said)
    }

    /// Sends the buffer as a part, and waits while too many are on their way.
    fn send(&mut self) -> Result<(), Said> {
        if self.begun.is_none() {
            let (bucket, key) = (self.bucket.clone(), self.key.clone());
            let begun = self.bucket.run(begin(&bucket, &key))?;
            self.begun = Some(begun);
        }
        let content = Bytes::from(std::mem::take(&mut self.buffer));
        let (bucket, key, in_flight) = (self.bucket.clone(), self.key.clone(), self.in_flight);
        let Some(begun) = &mut self.begun else { return Err(Said::Other("it was not begun".to_owned())) };
        if begun.number >= PARTS {
            return Err(Said::TooManyParts(PARTS));
        }
        while begun.on_their_way.len() >= in_flight {
            begun.wait_for_one(&self.bucket)?;
        }
        let (id, number) = (begun.id.clone(), begun.number);
        begun.number += 1;
        // Some stores want parts of one size, so they grow only where the size was not known.
        if !self.is_size_known && begun.number.is_multiple_of(GROW_AFTER) {
            self.part_size = (self.part_size * 2).min(*PART.end() as usize);
            self.in_flight = (IN_FLIGHT as usize / self.part_size).clamp(1, 8);
        }
        begun.on_their_way.push_back(self.bucket.inner.runtime.spawn(async move {
            bucket.wait(1, content.len() as u64).await;
            let part =
                bucket.inner.client.uploads()?.put_part(&path(&key)?, &id, number, content.into()).await;
            part.map_err(|error| said(&error))
        }));
        Ok(())
    }

    /// Completes the object; it has its name from then on, and its length was looked at.
    pub(crate) fn commit(mut self) -> Result<(), StoreError> {
        if let Some(said) = self.failed.take() {
            return Err(self.error("write it", said));
        }
        let done = if self.begun.is_some() {
            self.complete()
        } else {
            let content = Bytes::from(std::mem::take(&mut self.buffer));
            let mode = if self.overwrite { PutMode::Overwrite } else { PutMode::Create };
            self.bucket.run(self.bucket.put(&self.key, content, mode))
        };
        done.map_err(|said| self.error("complete it", said))?;
        self.begun = None;
        self.look()
    }

    fn complete(&mut self) -> Result<(), Said> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        let Some(begun) = &mut self.begun else { return Ok(()) };
        while !begun.on_their_way.is_empty() {
            begun.wait_for_one(&self.bucket)?;
        }
        let (id, mark, parts) = (begun.id.clone(), begun.mark.clone(), begun.parts.clone());
        let (bucket, key, overwrite, size) = (&self.bucket, self.key.clone(), self.overwrite, self.written);
        self.bucket.run(async {
            // Stores do not agree on whether an upload in parts may refuse to replace an object.
            if !overwrite && bucket.head_marked(&key).await.map_or_else(not_there, |_| Ok(true))? {
                return Err(Said::Exists);
            }
            bucket.wait(1, 0).await;
            let done = bucket.inner.client.uploads()?.complete_multipart(&path(&key)?, &id, parts).await;
            match done.map_err(|error| said(&error)) {
                Ok(_) => Ok(()),
                // The answer to a request that succeeded may have been lost, and the repeated one finds no upload.
                Err(failed) => match bucket.head_marked(&key).await {
                    Ok((object, found)) if found.as_deref() == Some(&mark) && object.size == size => Ok(()),
                    _ => Err(failed),
                },
            }
        })
    }

    /// Compares the length of the object with what was written.
    fn look(&self) -> Result<(), StoreError> {
        let written = self.written;
        match self.bucket.head(&self.key)? {
            Some(object) if object.size == written => Ok(()),
            Some(object) => {
                let text = format!("it has {} bytes in place of {written}", object.size);
                Err(self.error("check it after it was written", Said::Other(text)))
            }
            None => Err(self.error("check it after it was written", Said::NoObject)),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(said) = &self.failed {
            return Err(self.error("write it", said.clone()).into());
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(self.part_size.min(bytes.len().max(PART_START)));
        }
        let free = self.part_size.saturating_sub(self.buffer.len());
        let taken = free.min(bytes.len());
        self.buffer.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        self.written += taken as u64;
        if self.buffer.len() >= self.part_size
            && let Err(said) = self.send()
        {
            let doing = format!("write it; {} bytes were given so far", self.written);
            let error = self.error(&doing, said.clone());
            self.failed = Some(said);
            return Err(error.into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that a buffer begins with.
const PART_START: usize = 1 << 20;

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut begun) = self.begun.take() else { return };
        // A part that arrives after the upload was given up would stay.
        while let Some(part) = begun.on_their_way.pop_front() {
            let _ = self.bucket.run(part);
        }
        // What stays is found by `Bucket::unfinished`.
        let _ = self.bucket.run(self.bucket.abort(&self.key, &begun.id));
    }
}

impl Begun {
    fn wait_for_one(&mut self, bucket: &Bucket) -> Result<(), Said> {
        if let Some(part) = self.on_their_way.pop_front() {
            let part = bucket.run(part).map_err(|error| Said::Other(error.to_string()))??;
            self.parts.push(part);
        }
        Ok(())
    }
}

fn not_there(said: Said) -> Result<bool, Said> {
    match said {
        Said::NoObject => Ok(false),
        said => Err(said),
    }
}

/// Begins an upload. If an answer was lost, the store may have begun one that nobody knows: it is looked for and given up.
async fn begin(bucket: &Bucket, key: &str) -> Result<Begun, Said> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Said::Other(error.to_string()))?;
    let mark_value = hex::encode(random);
    let path = path(key)?;
    let mut before = None;
    let mut attempt = 0;
    let id = loop {
        let mut attributes = Attributes::new();
        if bucket.service() != Some(Service::Azure) {
            attributes.insert(mark(), mark_value.clone().into());
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        bucket.wait(1, 0).await;
        let begun = bucket.inner.client.once()?.create_multipart_opts(&path, options).await;
        match begun.map_err(|error| said(&error)) {
            Ok(id) => break id,
            Err(failed) if attempt >= BEGIN_RETRIES || !is_temporary(&failed) => return Err(failed),
            Err(_) => {
                before.get_or_insert_with(jiff::Timestamp::now);
                tokio::time::sleep(std::time::Duration::from_millis(100) * 2_u32.pow(attempt)).await;
                attempt += 1;
            }
        }
    };
    if before.is_some()
        && let Ok(Some(all)) = bucket.list_unfinished(key).await
        && let Some(ours) = all.iter().find(|upload| upload.key == key && upload.id == id).cloned()
    {
        let begun_at = |text: &str| text.parse::<jiff::Timestamp>().ok();
        for other in all.iter().filter(|upload| upload.key == key && upload.id != id) {
            // Only those of the last moments: another backup to the same key may be on its way.
            let apart = begun_at(&ours.begun).zip(begun_at(&other.begun));
            if apart.is_some_and(|(ours, other)| ours.duration_since(other).as_secs().unsigned_abs() <= 60) {
                let _ = bucket.abort(key, &other.id).await;
            }
        }
    }
    Ok(Begun { id, mark: mark_value, number: 0, on_their_way: VecDeque::new(), parts: Vec::new() })
}

/// Bytes of a part of an object of about this size: so that 1000 parts suffice, within the limits.
fn part_size(expected: u64) -> u64 {
    let wanted = (expected / (PARTS_EVERYWHERE * 9 / 10)).next_multiple_of(1 << 20);
    let few = wanted.clamp(*PART.start(), *PART.end());
    // Beyond that, memory has to grow: no store takes more parts.
    few.max((expected / (PARTS as u64 * 9 / 10)).next_multiple_of(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_suffice_for_what_is_expected() {
        for (expected, part) in [(0, 8), (1 << 30, 8), (50 << 30, 57), (500 << 30, 64), (1 << 40, 117)] {
            assert_eq!(part_size(expected), part << 20, "{expected}");
            assert!(expected / part_size(expected) < PARTS as u64);
        }
    }
}
