//! Streams of files, by the node's `tar`, `find`, `stat`, `tail`, `xargs` and `dd`.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::Ordering;

use super::{KIND, LONG, REGULAR, RemoteFiles, SHORT};
use crate::error::{NodeError, Result};
use crate::files::rests::{self, RestOf, TakeRest, take_rests};
use crate::files::unpack::{Modes, Owner, TarStream, Unpacking};
use crate::files::{FileStat, FoundFile, NodeStreams, PackedFile, Packing, TakeFile, tails};
use crate::way::problem;

/// tar's exit codes for files that changed, vanished or could not be read; GNU's and busybox's.
const TAR_COMPLAINED: [i32; 2] = [1, 2];

/// xargs's exit code where one of the programs that it called complained.
const XARGS_COMPLAINED: i32 = 123;

/// Whether a `tar` says that it does not know the option `-T`.
fn says_no_to_lists(said: &str) -> bool {
    said.contains("option") && (said.contains("-- 'T'") || said.contains("-- T"))
}

/// Files looked at by one command: its output is held in memory.
const STATS: usize = 10_000;

impl NodeStreams for RemoteFiles {
    fn sum(&self, folder: &Path) -> Result<(u64, u64)> {
        let doing = format!("count the files in {}", folder.display());
        let rest = ["-type", "f", "-exec", "stat", "-c", "%s", "{}", "+"];
        let output = self.find_output(&doing, folder, &rest)?.unwrap_or_default();
        output
            .lines()
            .try_fold((0, 0), |(files, bytes), size| Some((files + 1, bytes + size.parse::<u64>().ok()?)))
            .ok_or_else(|| self.answer("stat", "a line that is no size"))
    }

    fn find(&self, folder: &Path) -> Result<Vec<FoundFile>> {
        let doing = format!("list {}", folder.display());
        let rest = ["-type", "f", "-exec", "stat", "-c", "%s %n", "{}", "+"];
        let Some(output) = self.find_output(&doing, folder, &rest)? else { return Ok(Vec::new()) };
        let prefix = format!("{}/", self.text(folder)?.trim_end_matches('/'));
        output
            .lines()
            .map(|line| {
                let (size, path) = line.split_once(' ')?;
                Some(FoundFile { path: path.strip_prefix(&prefix)?.to_owned(), size: size.parse().ok()? })
            })
            .collect::<Option<_>>()
            .ok_or_else(|| self.answer("stat", "a line that is no size and path"))
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
        let input = separated(&paths);
        let (doing, count) = ("look at the ends of files", bytes.to_string());
        let words = ["xargs", "-0", "tail", "-v", "-c", &count, tails::FIRST];
        let ended = self.way.run(doing, &words, &input, LONG)?;
        // Files that are missing make it end with another code than 0, too.
        match ended.code {
            0 | 1 | XARGS_COMPLAINED => Ok(tails::parse(&ended.stdout, &paths)),
            _ => Err(self.way.failed(doing, &words, &ended)),
        }
    }

    fn stats(&self, folder: &Path, paths: &[String]) -> Result<Vec<Option<FileStat>>> {
        let folder = self.text(folder)?.trim_end_matches('/');
        let (doing, words) = ("look at files", ["xargs", "-0", "stat", "-c", "%s %Y %f %n"]);
        let mut all = Vec::with_capacity(paths.len());
        for paths in paths.chunks(STATS) {
            let paths: Vec<String> = paths.iter().map(|path| format!("{folder}/{path}")).collect();
            let ended = self.way.run(doing, &words, &separated(&paths), LONG)?;
            // Files that are missing make it end with another code than 0, too.
            if !matches!(ended.code, 0 | 1 | XARGS_COMPLAINED) {
                return Err(self.way.failed(doing, &words, &ended));
            }
            let output = String::from_utf8_lossy(&ended.stdout);
            let told = |line: &str| self.answer("stat", format!("{line:?}"));
            let mut lines = output.lines().map(|line| stat(line).ok_or_else(|| told(line))).peekable();
            for path in &paths {
                // They come in the order that was asked for.
                let found = lines.next_if(|line| line.as_ref().map_or(true, |(of, _)| *of == path.as_str()));
                all.push(found.transpose()?.and_then(|(_, stat)| stat));
            }
            if let Some(line) = lines.next() {
                let (path, _) = line?;
                return Err(told(path));
            }
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
                Ok(())
            },
            |stdout| take_rests(stdout, files, path_of, take),
        )?;
        match ended {
            None | Some((0 | 1 | XARGS_COMPLAINED, _)) => Ok(taken),
            Some((code, said)) => Err(self.broken(doing, problem(code, &said))),
        }
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        let doing = format!("look at {}", path.display());
        let words = ["stat", "-c", "%s", "--", self.text(path)?];
        let ended = self.way.run(&doing, &words, b"", SHORT)?;
        if ended.code != 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        text.trim().parse().map(Some).map_err(|_| self.answer("stat", format!("{text:?}")))
    }

    fn blocks(&self, path: &Path, first: u64, count: u64) -> Result<Vec<u8>> {
        let doing = format!("read {}", path.display());
        let (file, skip, count) =
            (format!("if={}", self.text(path)?), format!("skip={first}"), format!("count={count}"));
        self.way.succeed(&doing, &["dd", &file, "bs=4096", &skip, &count], b"", SHORT)
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
        let (taken, ended) = self.stream(
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
                Ok(())
            },
            |stdout| take_all(stdout, by_xargs, &mut *take),
        )?;
        match ended {
            None | Some((0, _)) => Ok(taken),
            Some((_, said)) if !by_xargs && says_no_to_lists(&said) => {
                self.no_lists.store(true, Ordering::Relaxed);
                self.pack(Path::new(folder), paths, take)
            }
            Some((code, _)) if TAR_COMPLAINED.contains(&code) || (by_xargs && code == XARGS_COMPLAINED) => {
                Ok(Packing::Whole)
            }
            Some((code, said)) => Err(self.broken(doing, problem(code, &said))),
        }
    }
}

impl RemoteFiles {
    fn broken(&self, doing: &str, problem: String) -> NodeError {
        NodeError::Connection { node: self.way.shown(), doing: doing.into(), problem }
    }

    /// Runs a program that takes a list and gives a stream. Tells how it ended, unless whoever read the stream wanted no more.
    fn stream(
        &self,
        doing: &str,
        words: &[&str],
        list: impl FnOnce(ChildStdin) -> io::Result<()> + Send,
        read: impl FnOnce(ChildStdout) -> io::Result<Packing>,
    ) -> Result<(Packing, Option<(i32, String)>)> {
        let mut running = self.way.spawn(doing, words)?;
        let (Some(stdin), Some(stdout)) = (running.stdin(), running.stdout()) else {
            return Err(self.broken(doing, "the program has no input or output".into()));
        };
        let taken = std::thread::scope(|scope| {
            // It ends early where the other side does, which is told there.
            scope.spawn(move || list(stdin));
            let taken = read(stdout);
            if !matches!(taken, Ok(Packing::Whole)) {
                running.kill();
            }
            taken
        });
        match taken {
            Ok(Packing::Ended) => Ok((Packing::Ended, None)),
            Ok(Packing::Whole) => Ok((Packing::Whole, Some(running.finish(doing, false)?))),
            Err(e) => Err(match running.finish(doing, false) {
                Err(known) => known,
                Ok((code, said)) if code != 0 => self.broken(doing, format!("{e}; {}", problem(code, &said))),
                Ok(_) => self.broken(doing, e.to_string()),
            }),
        }
    }
}

/// Ends every path with a NUL, as `xargs -0` wants it.
fn separated(paths: &[String]) -> Vec<u8> {
    let mut list = Vec::with_capacity(paths.iter().map(|path| path.len() + 1).sum());
    for path in paths {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    list
}

/// Reads a line of `stat -c "%s %Y %f %n"`: the path, and what is known of it where it is a regular file.
fn stat(line: &str) -> Option<(&str, Option<FileStat>)> {
    let mut fields = line.splitn(4, ' ');
    let size = fields.next()?.parse().ok()?;
    // Before 1970 is as good as 1970.
    let mtime = fields.next()?.parse::<i64>().ok()?.max(0).unsigned_abs();
    let is_file = u32::from_str_radix(fields.next()?, 16).ok()? & KIND == REGULAR;
    Some((fields.next()?, is_file.then_some(FileStat { size, mtime })))
}

/// Tells whether what was read ends in a block of zeros, as a whole tar stream does.
struct EndWatch<R> {
    inner: R,
    nothing: bool,
    zeros: usize,
}

impl<R: Read> Read for EndWatch<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.nothing &= count == 0;
        let zeros = buf[..count].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count { self.zeros + count } else { zeros };
        Ok(count)
    }
}

/// Hands over every regular file of a tar stream, or of several ones after each other, to its very end: a program that waits to
/// be read does not end.
pub(super) fn take_all(stdout: impl Read, several: bool, take: &mut TakeFile<'_>) -> io::Result<Packing> {
    let stdout = EndWatch { inner: stdout, nothing: true, zeros: 0 };
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(256 << 10, stdout));
    archive.set_ignore_zeros(several);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        let (size, mtime) = (entry.size(), entry.header().mtime()?);
        if !take(PackedFile { path, size, mtime, content: &mut entry })? {
            return Ok(Packing::Ended);
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    // Nothing at all comes of a folder that is not there.
    if !rest.get_ref().nothing && rest.get_ref().zeros < 512 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar stream was cut off"));
    }
    Ok(Packing::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let found = Some(FileStat { size: 5, mtime: 7 });
        assert_eq!(stat("5 7 81a4 /d/a b"), Some(("/d/a b", found)));
        assert_eq!(stat("5 -7 41ed /d"), Some(("/d", None)));
        assert_eq!(stat("nonsense"), None);
    }

    #[test]
    fn tar_streams_whole_and_cut_off() {
        let mut builder = tar::Builder::new(Vec::new());
        for path in ["a", "b"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(600);
            builder.append_data(&mut header, path, &[1; 600][..]).unwrap();
        }
        let stream = builder.into_inner().unwrap();
        let taken = |stream: &[u8], several| {
            let mut paths = String::new();
            let packing = take_all(stream, several, &mut |file| {
                paths.push_str(&file.path);
                io::copy(file.content, &mut io::sink())?;
                Ok(true)
            });
            packing.map(|_| paths)
        };
        assert_eq!(taken(&stream, false).unwrap(), "ab");
        assert_eq!(taken(&stream.repeat(2), true).unwrap(), "abab");
        assert_eq!(taken(b"", false).unwrap(), "");
        // At the border between two files, too: nothing else tells that one is missing.
        for cut in [100, 512, 1000, 1536, 2000, 3072] {
            assert!(taken(&stream[..cut], false).is_err(), "{cut}");
        }
    }
}
