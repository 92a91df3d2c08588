//! Files as the node's `tar` packs them up.
//!
//! The last file that is requested is always `/dev/null`. It is in the stream, as a device without content, where the list of
//! files arrived at `tar` completely and the stream arrived here completely.

use std::io::{self, Read, Write};

use tar::{Archive, EntryType};

use super::listing::END;
use crate::files::framing::{Broken, Packed, quotable};
use crate::files::{PackedFile, TakeFile};

/// Where a tar header says that it is one.
const MAGIC: std::ops::Range<usize> = 257..262;

/// How many streams there are after each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// One.
    One,
    /// One or more, as `xargs` calls `tar`.
    Several,
}

/// What is wrong with a stream that could not be read, by its beginning.
pub(super) fn broken(head: &[u8]) -> Broken {
    let magic = head.get(MAGIC);
    if head.is_empty() || magic == Some(b"ustar") {
        return Broken::cut_off();
    }
    // A header that was cut off begins with a name and zeros.
    if magic.is_none() && head.contains(&0) {
        return Broken::cut_off();
    }
    // Behind the text of somebody else comes the name of the first file, and zeros behind that.
    let text = head.split(|byte| *byte == 0).next().unwrap_or_default();
    let lines = text.iter().rposition(|byte| *byte == b'\n').map_or(text, |end| &text[..end]);
    Broken::Garbled(quotable(lines))
}

/// Whether what was read ends in a block of zeros, as a complete tar stream does.
struct EndWatch<R> {
    inner: R,
    zeros: usize,
}

/// Takes what follows the end of a stream, which is zeros.
struct Zeros;

impl Write for Zeros {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().all(|byte| *byte == 0) {
            Ok(bytes.len())
        } else {
            Err(twice("more follows after the end"))
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read> Read for EndWatch<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        let zeros = buf[..count].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count { self.zeros + count } else { zeros };
        Ok(count)
    }
}

/// Hands over every regular file of a tar stream, or of several ones after each other, to its very end: a program that waits to
/// be read does not end. `asked` are the paths of the files that were requested, in this order.
///
/// Fails if the stream is cut off, or something comes twice.
pub(super) fn take_all(
    stdout: impl Read,
    part: Part,
    asked: &[String],
    take: &mut TakeFile<'_>,
) -> io::Result<Packed> {
    let stdout = EndWatch { inner: stdout, zeros: 0 };
    let mut archive = Archive::new(io::BufReader::with_capacity(256 << 10, stdout));
    archive.set_ignore_zeros(part == Part::Several);
    let mut expected = asked.iter();
    let (mut came, mut ended) = (0, false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        if ended {
            return Err(twice("more follows after the end"));
        }
        let kind = entry.header().entry_type();
        if kind == EntryType::Char && path.trim_start_matches('/') == END.trim_start_matches('/') {
            ended = true;
            continue;
        }
        let position = expected.clone().position(|asked| *asked == path);
        if let Some(position) = position {
            expected.nth(position);
            came += 1;
        } else if asked.contains(&path) {
            return Err(twice("files come twice or in another order"));
        }
        if !kind.is_file() {
            continue;
        }
        let (size, mtime) = (entry.size(), entry.header().mtime()?);
        if !take(PackedFile { path, size, mtime, content: &mut entry })? {
            return Ok(Packed::Ended);
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut Zeros)?;
    if !ended || rest.get_ref().zeros < 512 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar stream was cut off"));
    }
    Ok(Packed::Whole(came == asked.len()))
}

fn twice(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(paths: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for path in paths {
            let mut header = tar::Header::new_gnu();
            if *path == "dev/null" {
                header.set_entry_type(EntryType::Char);
                header.set_size(0);
                builder.append_data(&mut header, path, io::empty()).unwrap();
            } else {
                header.set_size(600);
                builder.append_data(&mut header, path, &[1; 600][..]).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn taken(stream: &[u8], part: Part) -> io::Result<(String, Packed)> {
        let mut paths = String::new();
        let asked = ["a", "b", "c"].map(str::to_owned);
        let packed = take_all(stream, part, &asked, &mut |file| {
            paths.push_str(&file.path);
            io::copy(file.content, &mut io::sink())?;
            Ok(true)
        });
        packed.map(|packed| (paths, packed))
    }

    #[test]
    fn streams_whole_and_cut_off_anywhere() {
        let whole = stream(&["a", "b", "c", "dev/null"]);
        assert_eq!(taken(&whole, Part::One).unwrap(), ("abc".into(), Packed::Whole(true)));
        // Without the last block of zeros all is there.
        for cut in 0..whole.len() - 512 {
            assert!(taken(&whole[..cut], Part::One).is_err(), "{cut}");
        }
        let several = [stream(&["a", "b"]), stream(&["c", "dev/null"])].concat();
        assert_eq!(taken(&several, Part::Several).unwrap(), ("abc".into(), Packed::Whole(true)));
        for cut in 0..several.len() - 512 {
            assert!(taken(&several[..cut], Part::Several).is_err(), "{cut}");
        }
    }

    #[test]
    fn files_that_are_missing_or_come_twice() {
        assert_eq!(taken(&stream(&["a", "c", "dev/null"]), Part::One).unwrap().1, Packed::Whole(false));
        assert_eq!(taken(&stream(&["dev/null"]), Part::One).unwrap().1, Packed::Whole(false));
        assert!(taken(&stream(&["a", "b", "a", "b", "c", "dev/null"]), Part::One).is_err());
        let whole = stream(&["a", "b", "c", "dev/null"]);
        for part in [Part::One, Part::Several] {
            assert!(taken(&whole.repeat(2), part).is_err());
        }
    }

    #[test]
    fn text_of_somebody_else_is_told_from_a_stream_that_was_cut_off() {
        let whole = stream(&["a", "dev/null"]);
        for cut in [0, 1 + 1, 200, 300, 600] {
            assert_eq!(broken(&whole[..cut]), Broken::cut_off(), "{cut}");
        }
        let welcome = [b"Welcome to db1\n", whole.as_slice()].concat();
        assert_eq!(broken(&welcome), Broken::Garbled("Welcome to db1".into()));
        assert_eq!(broken(b"Hello"), Broken::Garbled("Hello".into()));
    }
}
