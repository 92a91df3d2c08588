//! Streams of files, by the node's `tar`, `find`, `stat`, `tail`, `xargs` and `dd`.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::Ordering;

use super::broken::patiently;
use super::dd;
use super::listing::{END, kind};
use super::packed::{self, Part, take_all};
use super::{LONG, RemoteFiles, SHORT};
use crate::error::{NodeError, Result};
use crate::files::framing::{Broken, Packed, quotable};
use crate::files::rests::{self, RestOf, TakeRest, take_rests};
use crate::files::tails;
use crate::files::unpack::{Modes, Owner, TarStream, Unpacking};
use crate::files::{FileKind, FileStat, FoundFile, NodeStreams, Packing, TakeFile};
use crate::way::problem;

/// tar's exit codes for files that changed, vanished or could not be read; GNU's and busybox's.
const TAR_COMPLAINED: [i32; 2] = [1, 2];

/// xargs's exit code where one of the programs that it called complained.
const XARGS_COMPLAINED: i32 = 123;

/// Whether a `tar` says that it does not know the option `-T`.
fn says_no_to_lists(said: &str) -> bool {
    said.contains("option") && (said.contains("-- 'T'") || said.contains("-- T"))
}

/// What is wrong where files are missing though the program says nothing of it.
const UNREPORTED: &str = "files are missing in it, though it ended with exit code 0";

/// Files examined by one command: its output is held in memory.
const STATS: usize = 10_000;
/// Bytes of a stream's beginning that are kept, to show what it is if it is not what was expected.
const HEAD: usize = 512;

impl NodeStreams for RemoteFiles {
    fn find(&self, folder: &Path) -> Result<Vec<FoundFile>> {
        self.found(folder)
    }

    fn unpack(&self, folder: &Path, owner: Option<Owner>) -> Result<Box<dyn Unpacking>> {
        let words = ["tar", "-x", "-p", "-f", "-", "-C", self.text(folder)?];
        let running = self.way.spawn("unpack files", &words)?;
        let owner = owner.unwrap_or(Owner { uid: 0, gid: 0, modes: Modes::default() });
        Ok(Box::new(TarStream::new(running, self.way.shown(), owner)?))
    }

    fn tails(&self, folder: &Path, paths: &[String], bytes: u64) -> Result<Vec<Option<Vec<u8>>>> {
        let folder = self.text(folder)?.trim_end_matches('/');
        let paths: Vec<String> = paths.iter().map(|path| format!("{folder}/{path}")).collect();
        let input = separated(paths.iter().map(String::as_str).chain([tails::LAST]));
        let count = bytes.to_string();
        self.ends(&["xargs", "-0", "tail", "-v", "-c", &count, tails::FIRST], &input, &paths)
    }

    fn stats(&self, folder: &Path, paths: &[String]) -> Result<Vec<Option<FileStat>>> {
        let folder = self.text(folder)?.trim_end_matches('/');
        let mut all = Vec::with_capacity(paths.len());
        for paths in paths.chunks(STATS) {
            let paths: Vec<String> = paths.iter().map(|path| format!("{folder}/{path}")).collect();
            all.extend(patiently(|| self.some_stats(&paths))?);
        }
        Ok(all)
    }

    fn rests(&self, folder: &Path, files: &[RestOf], take: &mut TakeRest<'_>) -> Result<Packing> {
        let doing = "read what was appended to files";
        if files.is_empty() {
            return Ok(Packing::Whole);
        }
        let folder = self.text(folder)?.trim_end_matches('/');
        let path_of = |file: &RestOf| format!("{folder}/{}", file.path);
        // One call of tail for every file: each begins elsewhere.
        let words = ["xargs", "-0", "-n", "3", "tail", "-v", "-c"];
        let (taken, ended) = self.stream(
            doing,
            &words,
            |mut stdin| {
                for file in files {
                    let words = format!("+{}\0{}\0{}\0", file.from + 1, rests::FIRST, path_of(file));
                    stdin.write_all(words.as_bytes())?;
                }
                stdin.write_all(format!("+1\0{}\0{}\0", rests::FIRST, rests::LAST).as_bytes())
            },
            |stdout| take_rests(stdout, files, path_of, take),
            tails::judge,
        )?;
        match (taken, ended) {
            (Packed::Ended, _) | (_, None) => Ok(Packing::Ended),
            (Packed::Whole(false), Some((0, _))) => Err(self.incomplete(doing, &words, UNREPORTED)),
            (_, Some((0 | 1 | XARGS_COMPLAINED, _))) => Ok(Packing::Whole),
            (_, Some((code, said))) => Err(self.connection(doing, problem(code, &said))),
        }
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        let path = self.text(path)?;
        let found = self.existing(&[path])?;
        Ok(found.into_iter().find(|entry| entry.kind == FileKind::File).map(|entry| entry.size))
    }

    fn blocks(&self, path: &Path, first: u64, count: u64) -> Result<Vec<u8>> {
        let doing = format!("read {}", path.display());
        let (file, skip, count) =
            (format!("if={}", self.text(path)?), format!("skip={first}"), format!("count={count}"));
        let words = ["env", "LC_ALL=C", "dd", &file, "bs=4096", &skip, &count];
        patiently(|| {
            let ended = self.way.run(&doing, &words, b"", SHORT)?;
            if ended.code != 0 {
                return Err(self.way.failed(&doing, &words, &ended));
            }
            if !dd::wrote(&ended.stderr, ended.stdout.len() as u64) {
                let problem = format!("{} bytes arrived, and dd reports others", ended.stdout.len());
                return Err(self.incomplete(&doing, &words, problem));
            }
            Ok(ended.stdout)
        })
    }

    fn pack(&self, folder: &Path, paths: &[String], take: &mut TakeFile<'_>) -> Result<Packing> {
        let doing = "pack files up";
        if paths.is_empty() {
            return Ok(Packing::Whole);
        }
        let folder = self.text(folder)?;
        let by_xargs = self.no_lists.load(Ordering::Relaxed);
        let words = if by_xargs {
            vec!["xargs", "-0", "tar", "-c", "-f", "-", "-C", folder, "--"]
        } else {
            vec!["tar", "-c", "-f", "-", "-C", folder, "-T", "-"]
        };
        let end = if by_xargs { '\0' } else { '\n' };
        let (taken, ended) = self
            .stream(
                doing,
                &words,
                |mut stdin| {
                    let mut names = String::new();
                    for chunk in paths.chunks(1000) {
                        names.clear();
                        for path in chunk {
                            names.push_str(path);
                            names.push(end);
                        }
                        stdin.write_all(names.as_bytes())?;
                    }
                    stdin.write_all(format!("{END}{end}").as_bytes())
                },
                |stdout| {
                    let part = if by_xargs { Part::Several } else { Part::One };
                    take_all(stdout, part, paths, &mut *take)
                },
                packed::broken,
            )
            .or_else(|error| match error {
                // Busybox's says so in any language, and nothing else.
                NodeError::Program { problem, .. } if !by_xargs && says_no_to_lists(&problem) => {
                    Ok((Packed::Ended, Some((1, problem))))
                }
                error => Err(error),
            })?;
        match (taken, ended) {
            (_, Some((_, said))) if !by_xargs && says_no_to_lists(&said) => {
                self.no_lists.store(true, Ordering::Relaxed);
                self.pack(Path::new(folder), paths, take)
            }
            (Packed::Ended, _) | (_, None) => Ok(Packing::Ended),
            (Packed::Whole(true), Some((0, _))) => Ok(Packing::Whole),
            (Packed::Whole(false), Some((0, _))) => Err(self.incomplete(doing, &words, UNREPORTED)),
            (_, Some((code, _)))
                if TAR_COMPLAINED.contains(&code) || (by_xargs && code == XARGS_COMPLAINED) =>
            {
                Ok(Packing::Whole)
            }
            (_, Some((code, said))) => Err(self.connection(doing, problem(code, &said))),
        }
    }
}

/// The beginning of what was read, and whether that was all.
struct Watched {
    inner: ChildStdout,
    head: Vec<u8>,
    is_at_end: bool,
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.is_at_end |= count == 0 && !buf.is_empty();
        let more = (HEAD - self.head.len()).min(count);
        self.head.extend_from_slice(&buf[..more]);
        Ok(count)
    }
}

impl RemoteFiles {
    fn connection(&self, doing: &str, problem: String) -> NodeError {
        NodeError::Connection { node: self.way.shown(), doing: doing.into(), problem }
    }

    /// Runs `tail` on files and [`tails::LAST`].
    pub(super) fn ends(
        &self,
        words: &[&str],
        input: &[u8],
        paths: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let doing = "look at the ends of files";
        patiently(|| {
            let ended = self.way.run(doing, words, input, LONG)?;
            // Files that are missing make it end with another code than 0, too.
            if !matches!(ended.code, 0 | 1 | XARGS_COMPLAINED) {
                return Err(self.way.failed(doing, words, &ended));
            }
            let found = tails::parse(&ended.stdout, paths)
                .filter(|found| ended.code != 0 || found.iter().all(Option::is_some));
            found.ok_or_else(|| self.broken(doing, words, &ended, tails::judge(&ended.stdout)))
        })
    }

    fn some_stats(&self, paths: &[String]) -> Result<Vec<Option<FileStat>>> {
        let (doing, words) = ("look at files", ["xargs", "-0", "stat", "-c", "%s %Y %f %n"]);
        let input = separated(paths.iter().map(String::as_str).chain([END]));
        let ended = self.way.run(doing, &words, &input, LONG)?;
        // Files that are missing make it end with another code than 0, too.
        if !matches!(ended.code, 0 | 1 | XARGS_COMPLAINED) {
            return Err(self.way.failed(doing, &words, &ended));
        }
        parse_stats(&ended.stdout, paths)
            .and_then(|found| {
                let all = ended.code != 0 || found.iter().all(|(is_there, _)| *is_there);
                if all { Ok(found) } else { Err(Broken::cut_off()) }
            })
            .map(|found| found.into_iter().map(|(_, stat)| stat).collect())
            .map_err(|broken| self.broken(doing, &words, &ended, broken))
    }

    /// Runs a program that takes a list and gives a stream; `judge` says what is wrong with one by its beginning. Tells how
    /// the program ended, unless the reader of the stream wanted no more.
    fn stream(
        &self,
        doing: &str,
        words: &[&str],
        list: impl FnOnce(ChildStdin) -> io::Result<()> + Send,
        read: impl FnOnce(&mut Watched) -> io::Result<Packed>,
        judge: impl FnOnce(&[u8]) -> Broken,
    ) -> Result<(Packed, Option<(i32, String)>)> {
        let mut running = self.way.spawn(doing, words)?;
        let (Some(stdin), Some(stdout)) = (running.stdin(), running.stdout()) else {
            return Err(self.connection(doing, "the program has no input or output".into()));
        };
        let mut stdout = Watched { inner: stdout, head: Vec::new(), is_at_end: false };
        let taken = std::thread::scope(|scope| {
            // It ends early where the other side does, which is told there.
            scope.spawn(move || list(stdin));
            let taken = read(&mut stdout);
            // Who still writes would wait for ever.
            if !stdout.is_at_end {
                running.kill();
            }
            taken
        });
        let error = match taken {
            Ok(Packed::Ended) => return Ok((Packed::Ended, None)),
            Ok(whole) => return Ok((whole, Some(running.finish(doing, false)?))),
            Err(error) => error,
        };
        // What was killed has nothing to say of its end.
        let (code, said) = if stdout.is_at_end { running.finish(doing, false)? } else { (0, String::new()) };
        if stdout.head.is_empty() && code != 0 {
            return Err(NodeError::Program {
                node: self.way.shown(),
                doing: doing.to_owned(),
                command: running.command().to_owned(),
                problem: problem(code, &said),
            });
        }
        // It may quote what it met.
        let error = quotable(error.to_string().as_bytes());
        Err(match judge(&stdout.head) {
            Broken::Garbled(text) => self.garbled(doing, words, text),
            Broken::Incomplete(_) if code == 0 => self.incomplete(doing, words, error),
            Broken::Incomplete(_) => {
                self.incomplete(doing, words, format!("{error}; it {}", problem(code, &said)))
            }
        })
    }
}

/// Ends every path with a NUL, as `xargs -0` wants it.
fn separated<'p>(paths: impl Iterator<Item = &'p str>) -> Vec<u8> {
    let mut list = Vec::new();
    for path in paths {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    list
}

/// Whether a file is there, and what is known of it where it is a regular one.
type Stat = (bool, Option<FileStat>);

/// Reads what `stat` says of these files, in this order, and of [`END`].
fn parse_stats(output: &[u8], paths: &[String]) -> Result<Vec<Stat>, Broken> {
    let text = String::from_utf8_lossy(output);
    let mut lines = text.split_inclusive('\n').map(|line| {
        let read = line.strip_suffix('\n').and_then(stat);
        let is_cut = !line.ends_with('\n') && line.starts_with(|c: char| c.is_ascii_digit());
        read.ok_or_else(|| if is_cut { Broken::cut_off() } else { Broken::garbled(line) })
    });
    let mut next = lines.next().transpose()?;
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        match next {
            Some((of, stat)) if of == path => {
                found.push((true, stat));
                next = lines.next().transpose()?;
            }
            _ => found.push((false, None)),
        }
    }
    match (next, lines.next().transpose()?) {
        (Some((END, _)), None) => Ok(found),
        (None, _) => Err(Broken::cut_off()),
        _ => Err(Broken::twice()),
    }
}

/// Reads a line of `stat -c "%s %Y %f %n"`: the path, and what is known of it where it is a regular file.
fn stat(line: &str) -> Option<(&str, Option<FileStat>)> {
    let mut fields = line.splitn(4, ' ');
    let size = fields.next()?.parse().ok()?;
    // Before 1970 is as good as 1970.
    let mtime = fields.next()?.parse::<i64>().ok()?.max(0).unsigned_abs();
    let is_file = kind(fields.next()?)? == FileKind::File;
    let path = fields.next().filter(|path| path.starts_with('/'))?;
    Some((path, is_file.then_some(FileStat { size, mtime })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "5 7 81a4 /d/a b\n5 -7 41ed /d/c\n0 1 21b6 /dev/null\n";

    fn parsed(output: &str) -> Result<Vec<Stat>, Broken> {
        parse_stats(output.as_bytes(), &["/d/a b", "/d/b", "/d/c"].map(str::to_owned))
    }

    #[test]
    fn stat_lines() {
        let found = Some(FileStat { size: 5, mtime: 7 });
        assert_eq!(parsed(SAID).unwrap(), [(true, found), (false, None), (true, None)]);
        assert_eq!(stat("nonsense"), None);
        assert_eq!(parsed("").unwrap_err(), Broken::cut_off());
    }

    #[test]
    fn stat_lines_that_are_cut_off_or_come_twice() {
        for cut in 0..SAID.len() {
            assert_eq!(parsed(&SAID[..cut]), Err(Broken::cut_off()), "{cut}");
        }
        assert_eq!(parsed(&SAID.repeat(2)), Err(Broken::twice()));
        let doubled = SAID.replace("5 -7 41ed /d/c\n", "5 -7 41ed /d/c\n5 -7 41ed /d/c\n");
        assert_eq!(parsed(&doubled), Err(Broken::twice()));
        let welcome = format!("Hello there\n{SAID}");
        assert_eq!(parsed(&welcome), Err(Broken::Garbled("Hello there".into())));
    }
}
