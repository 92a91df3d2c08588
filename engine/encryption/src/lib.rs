//! Archives encrypted in age's format: written as a stream, read by ranges from many threads.
//!
//! The format is the one of <https://age-encryption.org/v1> (also <https://c2sp.org/age>): `age -d` and `rage -d` open what this
//! crate writes, and this crate reads what they write. A file has three parts:
//!
//! 1. a header in ASCII, which holds the file key once for each recipient, and a MAC over itself;
//! 2. a nonce of 16 bytes;
//! 3. the payload, in chunks of 64 KiB that are each encrypted with ChaCha20-Poly1305 (the STREAM construction).
//!
//! The keys and the entries of the header are those of the `age` crate. The chunks are written and read here. Each chunk has its
//! own nonce and its own tag, so that a reader decrypts any chunk without the ones before it. The last chunk is marked as the
//! last: a file that ends earlier is recognised as incomplete.
//!
//! Plaintext is never written to a file. Keys and passphrases occur in no message and in no `Debug` output.

mod advice;
mod cache;
mod chunk;
mod error;
mod format;
mod header;
mod identities;
mod key_file;
mod layout;
mod pair;
mod payload_key;
mod recipients;
mod source;
mod stream;
mod writer;

#[cfg(test)]
mod testing;

pub use error::{EncryptionError, Result};
pub use format::{START_LEN, is_armored, is_encrypted};
pub use identities::Identities;
pub use pair::KeyPair;
pub use recipients::Recipients;
pub use source::{DecryptedSource, head};
pub use stream::decrypt_stream;
pub use writer::EncryptingWriter;
