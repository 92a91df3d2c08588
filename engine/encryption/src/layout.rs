//! Where the chunks of a file lie.

use crate::chunk::{PLAIN, SEALED, TAG};
use crate::payload_key::NONCE_LEN;

/// The places of all chunks, which follow from the lengths of the header and of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Offset of the first chunk in the file, in bytes.
    pub(crate) payload: u64,
    /// Number of chunks, at least 1.
    pub(crate) chunks: u64,
    /// Length of the last chunk in the file, in bytes: [`TAG`] to [`SEALED`].
    pub(crate) last: usize,
}

/// The file ends where no complete file can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutOff;

impl Layout {
    /// The layout of a file with this length and a header of this length, both in bytes.
    pub(crate) fn new(file_len: u64, header_len: u64) -> Result<Self, CutOff> {
        let payload = header_len.checked_add(NONCE_LEN as u64).ok_or(CutOff)?;
        let sealed = file_len.checked_sub(payload).ok_or(CutOff)?;
        let chunks = sealed.div_ceil(SEALED as u64);
        let last = sealed.checked_sub(chunks.saturating_sub(1) * SEALED as u64).ok_or(CutOff)? as usize;
        // Only a file of no bytes has a chunk of no bytes.
        if last < TAG || (last == TAG && chunks > 1) {
            return Err(CutOff);
        }
        Ok(Self { payload, chunks, last })
    }

    /// Length of the plaintext in bytes.
    pub(crate) fn plain_len(&self) -> u64 {
        (self.chunks - 1) * PLAIN as u64 + (self.last - TAG) as u64
    }

    /// Offset of a chunk in the file, in bytes.
    pub(crate) fn offset(&self, chunk: u64) -> u64 {
        self.payload + chunk * SEALED as u64
    }

    /// Length of a chunk in the file, in bytes.
    pub(crate) fn sealed_len(&self, chunk: u64) -> usize {
        if self.is_last(chunk) { self.last } else { SEALED }
    }

    /// Whether a chunk is the last one.
    pub(crate) fn is_last(&self, chunk: u64) -> bool {
        chunk + 1 == self.chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_payload(len: u64) -> Result<(u64, u64), CutOff> {
        Layout::new(100 + 16 + len, 100).map(|layout| (layout.chunks, layout.plain_len()))
    }

    #[test]
    fn lengths_follow_from_the_length_of_the_file() {
        let full = SEALED as u64;
        assert_eq!(of_payload(16), Ok((1, 0)));
        assert_eq!(of_payload(17), Ok((1, 1)));
        assert_eq!(of_payload(full), Ok((1, PLAIN as u64)));
        assert_eq!(of_payload(full + 17), Ok((2, PLAIN as u64 + 1)));
        assert_eq!(of_payload(2 * full), Ok((2, 2 * PLAIN as u64)));
        assert!(Layout::new(u64::MAX, 100).is_ok());
    }

    #[test]
    fn no_file_ends_inside_a_tag() {
        let full = SEALED as u64;
        assert_eq!(Layout::new(110, 100), Err(CutOff));
        for payload in (0..16).chain(full + 1..=full + 16) {
            assert_eq!(of_payload(payload), Err(CutOff), "{payload}");
        }
        assert_eq!(Layout::new(100, u64::MAX), Err(CutOff));
    }
}
