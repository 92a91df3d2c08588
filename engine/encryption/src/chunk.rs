//! Encrypts and decrypts single chunks of the payload.
//!
//! Source: <https://c2sp.org/age>, "Payload". The nonce of a chunk is its number (from 0, big-endian, 11 bytes) and one byte that
//! is 1 for the last chunk and 0 for all others. A chunk is its ciphertext, followed by a tag of 16 bytes.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Number of bytes of plaintext in every chunk but the last one.
pub(crate) const PLAIN: usize = 64 * 1024;

/// Number of bytes that authenticate a chunk.
pub(crate) const TAG: usize = 16;

/// Number of bytes in the file of every chunk but the last one.
pub(crate) const SEALED: usize = PLAIN + TAG;

/// A chunk is not what the owner of the key wrote at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Why the chunk at the end of a file is not its last chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndProblem {
    /// It is authentic, but more chunks follow it: the file is cut off between two chunks.
    MoreFollows,
    /// It is not authentic.
    NotAuthentic,
}

/// The key for the chunks of one file.
pub(crate) struct ChunkKey(LessSafeKey);

impl ChunkKey {
    /// `None` cannot happen: the key has the length of the algorithm.
    pub(crate) fn new(key: &[u8; 32]) -> Option<Self> {
        Some(Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?)))
    }

    /// Encrypts a chunk and appends its tag.
    pub(crate) fn seal(&self, number: u64, last: bool, chunk: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        self.0.seal_in_place_append_tag(nonce(number, last), Aad::empty(), chunk).map_err(|_| NotAuthentic)
    }

    /// Decrypts a chunk in place and returns its plaintext. What `chunk` holds after a failure means nothing.
    pub(crate) fn open<'c>(
        &self,
        number: u64,
        last: bool,
        chunk: &'c mut [u8],
    ) -> Result<&'c [u8], NotAuthentic> {
        match self.0.open_in_place(nonce(number, last), Aad::empty(), chunk) {
            Ok(plain) => Ok(plain),
            Err(_) => Err(NotAuthentic),
        }
    }

    /// Decrypts the chunk at the end of a file in place and returns its plaintext.
    pub(crate) fn open_end<'c>(&self, number: u64, chunk: &'c mut [u8]) -> Result<&'c [u8], EndProblem> {
        let mut copy = chunk.to_vec();
        self.open(number, true, chunk).map_err(|NotAuthentic| match self.open(number, false, &mut copy) {
            Ok(_) => EndProblem::MoreFollows,
            Err(NotAuthentic) => EndProblem::NotAuthentic,
        })
    }
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_opens_only_at_its_place() {
        let key = ChunkKey::new(&[7; 32]).unwrap();
        let mut chunk = b"plain".to_vec();
        key.seal(3, false, &mut chunk).unwrap();
        assert_eq!(chunk.len(), 5 + TAG);
        assert_eq!(key.open(3, false, &mut chunk.clone()), Ok(b"plain".as_slice()));
        assert_eq!(key.open(4, false, &mut chunk.clone()), Err(NotAuthentic));
        assert_eq!(key.open(3, true, &mut chunk.clone()), Err(NotAuthentic));
        assert_eq!(key.open_end(3, &mut chunk.clone()), Err(EndProblem::MoreFollows));
        assert_eq!(key.open_end(4, &mut chunk.clone()), Err(EndProblem::NotAuthentic));
        assert_eq!(key.open(3, false, &mut chunk[..10]), Err(NotAuthentic));
    }
}
