//! What has been appended to many files, by the node's `tail`.

use std::io::{self, Read};

use super::framing::Packed;
pub(super) use super::tails::{FIRST, FIRST_HEADING, LAST};

/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// A file that is to be read from an offset on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestOf {
    /// Path below the folder.
    pub path: String,
    /// Where to begin.
    pub from: u64,
    /// The bytes that have to be there. Where others are, the file is another one, and passed over.
    pub expected: Vec<u8>,
    /// How many bytes there are from `from` on, those expected among them. What is appended later does not count.
    pub len: u64,
}

/// Takes the bytes behind those that were expected, of the file with that number; `false` ends it all.
pub type TakeRest<'t> = dyn FnMut(usize, &mut dyn Read) -> io::Result<bool> + 't;

/// Hands over what `tail -v -c +N /dev/null FILE` printed, called once per file, and then for `/dev/./null`. A file that
/// could not be read is missing in it.
///
/// Fails if it is cut off, or more comes than that.
pub(super) fn take_rests(
    stdout: impl Read,
    files: &[RestOf],
    path_of: impl Fn(&RestOf) -> String,
    take: &mut TakeRest<'_>,
) -> io::Result<Packed> {
    let mut output = Window { inner: stdout, bytes: Vec::new(), start: 0, ended: false };
    let heading = |number: usize| {
        let path = files.get(number).map_or_else(|| LAST.to_owned(), &path_of);
        format!("\n==> {path} <==\n").into_bytes()
    };
    let mut all_there = true;
    for (number, file) in files.iter().enumerate() {
        if !output.begins_with(FIRST_HEADING)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        output.consume(FIRST_HEADING.len());
        let own = heading(number);
        if !output.begins_with(&own)? {
            // A file that could not be read has no heading: what follows is the next call.
            if output.begins_with(FIRST_HEADING)? {
                all_there = false;
                continue;
            }
            if output.is_beginning_of(&own)? || output.is_beginning_of(FIRST_HEADING)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not what tail prints"));
        }
        output.consume(own.len());
        if output.begins_with(&file.expected)? {
            output.consume(file.expected.len());
            let mut content = (&mut output).take(file.len.saturating_sub(file.expected.len() as u64));
            if !take(number, &mut content)? {
                return Ok(Packed::Ended);
            }
            let left = content.limit();
            if io::copy(&mut content, &mut io::sink())? < left {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        output.skip_to_call(&heading(number + 1))?;
    }
    let end = [FIRST_HEADING, &heading(files.len())].concat();
    if !output.begins_with(&end)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    output.consume(end.len());
    if io::copy(&mut output, &mut io::sink())? > 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more follows after the end"));
    }
    Ok(Packed::Whole(all_there))
}

/// Output that can be inspected before it is taken.
struct Window<R> {
    inner: R,
    bytes: Vec<u8>,
    /// Of the bytes, how many are taken.
    start: usize,
    ended: bool,
}

impl<R: Read> Window<R> {
    /// The next bytes: at least so many, unless the end comes before.
    fn peek(&mut self, least: usize) -> io::Result<&[u8]> {
        while self.bytes.len() - self.start < least && !self.ended {
            self.bytes.drain(..self.start);
            self.start = 0;
            let filled = self.bytes.len();
            self.bytes.resize(filled + PIECE.max(least), 0);
            let read = self.inner.read(&mut self.bytes[filled..]);
            self.bytes.truncate(filled + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(count) => self.ended = count == 0,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(&self.bytes[self.start..])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }

    fn begins_with(&mut self, expected: &[u8]) -> io::Result<bool> {
        Ok(self.peek(expected.len())?.starts_with(expected))
    }

    /// Whether all that is left is the beginning of this.
    fn is_beginning_of(&mut self, expected: &[u8]) -> io::Result<bool> {
        Ok(expected.starts_with(self.peek(expected.len())?))
    }

    /// Passes over the rest of a file, up to where the next call of `tail` begins or to the end: what was appended in the
    /// meantime, or all of a file that is another one. It may look like a heading, but hardly like two that fit.
    fn skip_to_call(&mut self, next: &[u8]) -> io::Result<()> {
        let least = FIRST_HEADING.len() + next.len().max(FIRST_HEADING.len());
        loop {
            let bytes = self.peek(least)?;
            let Some(at) = find(bytes, FIRST_HEADING) else {
                let passed = bytes.len().saturating_sub(FIRST_HEADING.len() - 1);
                let passed = if self.ended { self.bytes.len() - self.start } else { passed };
                self.consume(passed);
                if self.ended {
                    return Ok(());
                }
                continue;
            };
            self.consume(at);
            let rest = &self.peek(least)?[FIRST_HEADING.len()..];
            if rest.is_empty() || rest.starts_with(next) || rest.starts_with(FIRST_HEADING) {
                return Ok(());
            }
            self.consume(1);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.peek(1)?;
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, expected: &str, len: u64) -> RestOf {
        RestOf { path: path.into(), from: 7, expected: expected.into(), len }
    }

    /// One byte at a time: borders lie anywhere.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buf.len()).min(1);
            self.0.read(&mut buf[..count])
        }
    }

    /// The last call.
    const END: &str = "==> /dev/null <==\n\n==> /dev/./null <==\n";

    fn taken(output: &[u8], files: &[RestOf]) -> io::Result<(Vec<(usize, String)>, bool)> {
        let mut found = Vec::new();
        let mut slow = Vec::new();
        let mut whole = true;
        for (stdout, found) in
            [(&mut &output[..] as &mut dyn Read, &mut found), (&mut Slow(output), &mut slow)]
        {
            let ended =
                take_rests(stdout, files, |file| format!("/d/{}", file.path), &mut |number, content| {
                    let mut text = String::new();
                    content.read_to_string(&mut text)?;
                    found.push((number, text));
                    Ok(true)
                })?;
            whole = ended == Packed::Whole(true);
        }
        assert_eq!(found, slow);
        Ok((found, whole))
    }

    fn own(pairs: &[(usize, &str)]) -> Vec<(usize, String)> {
        pairs.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    #[test]
    fn each_file_gets_its_own() {
        let files = [file("a", "Aa", 4), file("b", "B", 1), file("gone", "", 9), file("c", "C", 3)];
        let output = "==> /dev/null <==\n\n==> /d/a <==\nAaxyappended\
                      ==> /dev/null <==\n\n==> /d/b <==\nB\
                      ==> /dev/null <==\n\
                      ==> /dev/null <==\n\n==> /d/c <==\nC12and more"
            .to_owned()
            + END;
        let found = own(&[(0, "xy"), (1, ""), (3, "12")]);
        assert_eq!(taken(output.as_bytes(), &files).unwrap(), (found, false));
        assert_eq!(taken(END.as_bytes(), &[]).unwrap(), (Vec::new(), true));
        // The last one could not be read.
        let output = format!("==> /dev/null <==\n{END}");
        assert_eq!(taken(output.as_bytes(), &files[2..3]).unwrap(), (Vec::new(), false));
    }

    #[test]
    fn files_that_are_others_are_passed_over() {
        let files = [file("a", "long beginning", 20), file("b", "B", 2), file("c", "C", 2)];
        // The first one is shorter than what is expected, the second one begins with something else.
        let output = "==> /dev/null <==\n\n==> /d/a <==\nlong\
                      ==> /dev/null <==\n\n==> /d/b <==\nX2345\n==> /d/b <==\n\
                      ==> /dev/null <==\n\n==> /d/c <==\nC!"
            .to_owned()
            + END;
        assert_eq!(taken(output.as_bytes(), &files).unwrap().0, own(&[(2, "!")]));
    }

    #[test]
    fn content_that_looks_like_headings() {
        let trap = "==> /dev/null <==\n\n==> /d/a <==\n==> /dev/null <==";
        let files = [file("a", "A", 1 + trap.len() as u64), file("b", "B", 2)];
        let output = format!(
            "==> /dev/null <==\n\n==> /d/a <==\nA{trap}appended {trap}==> /dev/null <==\n\n==> /d/b <==\nB!{END}"
        );
        assert_eq!(taken(output.as_bytes(), &files).unwrap().0, own(&[(0, trap), (1, "!")]));
    }

    #[test]
    fn a_stream_that_is_cut_off_or_comes_twice_is_noticed() {
        let files = [file("a", "A", 4), file("b", "B", 4)];
        let output =
            "==> /dev/null <==\n\n==> /d/a <==\nA123==> /dev/null <==\n\n==> /d/b <==\nB123".to_owned() + END;
        let output = output.as_bytes();
        assert_eq!(taken(output, &files).unwrap(), (own(&[(0, "123"), (1, "123")]), true));
        for cut in 0..output.len() {
            let e = taken(&output[..cut], &files).unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof, "{cut}: {e}");
        }
        assert!(taken(&output.repeat(2), &files).is_err());
    }
}
