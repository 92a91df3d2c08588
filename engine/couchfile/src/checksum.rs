//! The two checksums of `.couch` files. No marker shows which of them a chunk carries: either may match.
//!
//! Source: `couch_file.erl` (`write_xxhash_checksums`: unknown up to 3.3, off by default in 3.4, on from 3.5 on); the XXH3 test
//! value is what CouchDB 3.5.0 gives.

use md5::{Digest, Md5};
use xxhash_rust::xxh3::xxh3_128;

/// Length of both checksums in bytes.
pub const LEN: usize = 16;

/// Which checksum was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// MD5: written by CouchDB up to 3.4 by default, read by every version.
    Md5,
    /// XXH3-128: written by CouchDB from 3.5 on by default, read from 3.4 on.
    Xxh3,
}

impl Checksum {
    /// This checksum of `bytes`.
    pub fn of(self, bytes: &[u8]) -> [u8; LEN] {
        match self {
            Self::Md5 => md5(bytes),
            Self::Xxh3 => xxh3(bytes),
        }
    }
}

/// MD5 of `bytes`.
pub fn md5(bytes: &[u8]) -> [u8; LEN] {
    Md5::digest(bytes).into()
}

/// XXH3-128 of `bytes` in canonical (big-endian) order.
pub fn xxh3(bytes: &[u8]) -> [u8; LEN] {
    xxh3_128(bytes).to_be_bytes()
}

/// Which checksum of `bytes` `sum` is, if any.
pub fn recognise(sum: &[u8], bytes: &[u8]) -> Option<Checksum> {
    if sum == xxh3(bytes) {
        Some(Checksum::Xxh3)
    } else if sum == md5(bytes) {
        Some(Checksum::Md5)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(hex::encode(xxh3(b"abc")), "06b05ab6733a618578af5f94892f3950");
        assert_eq!(hex::encode(md5(b"abc")), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(recognise(&md5(b"abc"), b"abc"), Some(Checksum::Md5));
        assert_eq!(recognise(&[0; 16], b"abc"), None);
    }
}
