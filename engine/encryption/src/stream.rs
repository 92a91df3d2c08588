//! Decrypts a stream, such as a pipe.

use std::io::{self, Chain, Cursor, Read};

use crate::chunk::{ChunkKey, SEALED, TAG};
use crate::error::{EncryptionError, Result};
use crate::header::{self, Header, HeaderProblem};
use crate::identities::Identities;
use crate::payload_key::{NONCE_LEN, payload_key};

/// Decrypts an archive that can only be read from its beginning to its end. `archive` names it in messages.
///
/// Reads the header before it returns. The reader returns authentic bytes only. It reports an archive that is cut off when it
/// reaches the end: what it has returned before is authentic, but not all. An error of the reader carries a
/// [`Failure`](outcome::Failure), or is the input's own error.
pub fn decrypt_stream(
    mut input: Box<dyn Read + Send>,
    archive: &str,
    identities: &Identities,
) -> Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    let mut wanted = 4096;
    let header = loop {
        read_up_to(&mut input, &mut start, wanted)
            .map_err(|e| EncryptionError::io(archive, "read the header", e))?;
        match Header::parse(&start) {
            Ok(header) => break header,
            // More came than before, and there may be more.
            Err(HeaderProblem::Incomplete) if start.len() == wanted && wanted < header::MOST => wanted *= 2,
            Err(problem) => return Err(EncryptionError::unreadable(archive, start.len() as u64, problem)),
        }
    };
    let file_key = identities.unlock(archive, &header)?;

    let mut input = Cursor::new(start.split_off(header.len)).chain(input);
    let mut nonce = Vec::new();
    let mut ahead = Vec::with_capacity(SEALED);
    read_up_to(&mut input, &mut nonce, NONCE_LEN)
        .and_then(|()| read_up_to(&mut input, &mut ahead, SEALED))
        .map_err(|e| EncryptionError::io(archive, "read it", e))?;
    let offset = (header.len + nonce.len()) as u64;
    let nonce = nonce
        .try_into()
        .map_err(|_| EncryptionError::truncated(archive, offset, "where no archive can end"))?;
    let key = payload_key(&file_key, &nonce)
        .and_then(|key| ChunkKey::new(&key))
        .ok_or(EncryptionError::Bug("a file key gives no key"))?;
    Ok(Box::new(DecryptingReader {
        archive: archive.to_owned(),
        key,
        input,
        chunk: Vec::with_capacity(SEALED),
        plain_len: 0,
        position: 0,
        ahead,
        number: 0,
        offset,
        state: State::Goes,
    }))
}

struct DecryptingReader {
    archive: String,
    key: ChunkKey,
    input: Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>,
    /// The chunk that is being returned: `plain_len` bytes of plaintext, of which `position` are returned.
    chunk: Vec<u8>,
    plain_len: usize,
    position: usize,
    /// The encrypted chunk with this number at this offset of the file. It is read ahead: only the chunk that no other one
    /// follows may be marked as the last.
    ahead: Vec<u8>,
    number: u64,
    offset: u64,
    state: State,
}

enum State {
    Goes,
    Ended,
    Failed,
}

impl DecryptingReader {
    /// Decrypts the chunk that was read ahead.
    fn next_chunk(&mut self) -> io::Result<()> {
        self.state = State::Failed;
        std::mem::swap(&mut self.chunk, &mut self.ahead);
        self.ahead.clear();
        let len = self.chunk.len();
        if len == SEALED {
            read_up_to(&mut self.input, &mut self.ahead, SEALED)?;
        }
        let end = self.ahead.is_empty();
        // Only a file of no bytes has a chunk of no bytes.
        if len < TAG || (len == TAG && self.number > 0) {
            let place = "where no archive can end";
            return Err(EncryptionError::truncated(&self.archive, self.offset + len as u64, place).into());
        }
        self.plain_len = if end {
            self.key
                .open_end(self.number, &mut self.chunk)
                .map_err(|problem| EncryptionError::end(&self.archive, self.offset, len, problem))?
                .len()
        } else {
            self.key
                .open(self.number, false, &mut self.chunk)
                .map_err(|_| EncryptionError::damaged(&self.archive, self.offset, len))?
                .len()
        };
        self.position = 0;
        self.number += 1;
        self.offset += len as u64;
        self.state = if end { State::Ended } else { State::Goes };
        Ok(())
    }
}

impl Read for DecryptingReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.position == self.plain_len {
            match self.state {
                State::Goes => self.next_chunk()?,
                State::Ended => return Ok(0),
                State::Failed => return Err(io::Error::other("an earlier read of the archive failed")),
            }
        }
        let plain = &self.chunk[self.position..self.plain_len];
        let len = plain.len().min(buf.len());
        buf[..len].copy_from_slice(&plain[..len]);
        self.position += len;
        Ok(len)
    }
}

/// Reads on until `buf` has this length, or to the end of the input.
fn read_up_to(input: &mut impl Read, buf: &mut Vec<u8>, len: usize) -> io::Result<()> {
    let missing = len.saturating_sub(buf.len());
    input.take(missing as u64).read_to_end(buf)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        SIZES, age_pair, code_in, code_of, encrypted, for_key, for_passphrase, plain, with_key,
        with_passphrase,
    };

    /// Gives one to seven bytes at once.
    struct Slow(Cursor<Vec<u8>>, usize);

    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 % 7 + 1;
            let most = buf.len().min(self.1);
            self.0.read(&mut buf[..most])
        }
    }

    fn read(bytes: Vec<u8>, identities: &Identities) -> Result<io::Result<Vec<u8>>> {
        let mut reader = decrypt_stream(Box::new(Cursor::new(bytes)), "a", identities)?;
        let mut read = Vec::new();
        Ok(reader.read_to_end(&mut read).map(|_| read))
    }

    #[test]
    fn a_stream_is_read_back() {
        let [public, private] = age_pair();
        let (recipients, identities) = (for_key(&public), with_key(&private));
        for size in SIZES {
            let plain = plain(size);
            let bytes = encrypted(&recipients, &plain);
            assert!(read(bytes, &identities).unwrap().unwrap() == plain, "{size}");
        }
        let bytes = encrypted(&for_passphrase("x"), &plain(70_000));
        let slow = Box::new(Slow(Cursor::new(bytes), 0));
        let mut reader = decrypt_stream(slow, "a", &with_passphrase("x")).unwrap();
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == plain(70_000));
    }

    #[test]
    fn a_large_header_is_read() {
        let [public, private] = age_pair();
        let recipients = crate::Recipients::gather(&vec![public; 1000], &[], None).unwrap();
        let bytes = encrypted(&recipients, &plain(70_000));
        assert!(read(bytes, &with_key(&private)).unwrap().unwrap() == plain(70_000));
    }

    #[test]
    fn a_stream_that_is_cut_off_is_an_error() {
        let [public, private] = age_pair();
        let identities = with_key(&private);
        let bytes = encrypted(&for_key(&public), &plain(3 * 65_536 + 100));
        let payload = Header::parse(&bytes).ok().unwrap().len + NONCE_LEN;
        for end in 1..payload + 40 {
            match read(bytes[..end].to_vec(), &identities) {
                Err(error) => {
                    assert_eq!((code_of(&error).as_str(), end < payload), ("CC-K10", true), "{end}");
                }
                Ok(read) => assert!(read.is_err(), "{end}"),
            }
        }
        for chunk in 1..=3 {
            let end = payload + chunk * SEALED;
            for (end, code) in
                [(end, "CC-K10"), (end - 1, "CC-K11"), (end + 1, "CC-K10"), (end + 16, "CC-K10")]
            {
                let error = read(bytes[..end].to_vec(), &identities).unwrap().unwrap_err();
                assert_eq!(code_in(&error), code, "{end}: {error}");
            }
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert_eq!(code_in(&read(longer, &identities).unwrap().unwrap_err()), "CC-K11");
    }

    #[test]
    fn a_reader_that_failed_goes_on_failing() {
        let [public, private] = age_pair();
        let mut bytes = encrypted(&for_key(&public), &plain(200_000));
        let len = bytes.len();
        bytes[len - 100_000] ^= 1;
        let mut reader = decrypt_stream(Box::new(Cursor::new(bytes)), "a", &with_key(&private)).unwrap();
        let mut read = Vec::new();
        assert_eq!(code_in(&reader.read_to_end(&mut read).unwrap_err()), "CC-K11");
        assert!(read == plain(200_000)[..read.len()]);
        assert!(reader.read(&mut [0; 10]).is_err());
    }
}
