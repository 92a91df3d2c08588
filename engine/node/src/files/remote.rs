//! Files that only programs on the node can reach: GNU's or busybox's `tar`, `find`, `stat`, `mkdir`, `mv`, `rm`, `df`, `sync`; and
//! `tail`, `xargs` and `dd` for a look at many copies of the same data.
//!
//! No shell reads anything, and nothing is left on the node.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::tails;
use super::unpack::{Owner, TarStream, Unpacking};
use super::{FileEntry, FileKind, FoundFile, NodeFiles, NodeStreams, PackedFile, Packing, TakeFile};
use crate::error::{NodeError, Result};
use crate::way::{Way, problem};

/// How long a small command may take.
const SHORT: Duration = Duration::from_secs(120);
/// How long going through, removing or bringing to the disk everything may take.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// tar's exit codes for files that changed, vanished or could not be read; GNU's and busybox's.
const TAR_COMPLAINED: [i32; 2] = [1, 2];

/// xargs's exit code where one of the programs that it called complained.
const XARGS_COMPLAINED: i32 = 123;

/// Whether a `tar` says that it does not know the option `-T`.
fn says_no_to_lists(said: &str) -> bool {
    said.contains("option") && (said.contains("-- 'T'") || said.contains("-- T"))
}

/// Files of a node that is reached through node-access plugins.
#[derive(Debug, Clone)]
pub struct RemoteFiles {
    way: Way,
    /// Its `tar` takes no list of files, as busybox's in Debian: `xargs` has to call it.
    no_lists: Arc<AtomicBool>,
}

impl RemoteFiles {
    /// Files at the end of a way.
    pub fn new(way: Way) -> Self {
        Self { way, no_lists: Arc::default() }
    }

    fn text<'p>(&self, path: &'p Path) -> Result<&'p str> {
        let text = path.to_str().filter(|text| text.starts_with('/') && !text.contains(['\n', '\0']));
        text.ok_or_else(|| NodeError::Program {
            node: self.way.shown(),
            doing: format!("use the path {}", path.display()),
            command: "no program".into(),
            problem: "was run: a path on another machine has to be absolute, UTF-8 and one line".into(),
        })
    }

    fn texts<'p>(&self, paths: &'p [PathBuf]) -> Result<Vec<&'p str>> {
        paths.iter().map(|path| self.text(path)).collect()
    }

    /// Runs `find` and gives its output; `None` where the folder is not there.
    fn find_output(&self, doing: &str, folder: &Path, rest: &[&str]) -> Result<Option<String>> {
        let folder = self.text(folder)?;
        // What it complains about is read below.
        let find = ["env", "LC_ALL=C", "find", folder];
        let words: Vec<&str> = find.into_iter().chain(rest.iter().copied()).collect();
        let ended = self.way.run(doing, &words, b"", LONG)?;
        // What vanishes meanwhile makes find complain, too; so does a folder that is not there.
        if ended.code != 0 {
            if ended.stdout.is_empty() && !self.is_there(folder)? {
                return Ok(None);
            }
            let told = ended.stderr.trim();
            if told.is_empty() || !told.lines().all(|line| line.contains("No such file")) {
                return Err(self.way.failed(doing, &words, &ended));
            }
        }
        Ok(Some(String::from_utf8_lossy(&ended.stdout).into_owned()))
    }

    /// Whether the folder above a path has an entry of that name; what programs say of missing files is in any language.
    fn is_there(&self, path: &str) -> Result<bool> {
        let Some((parent, name)) = path.trim_end_matches('/').rsplit_once('/') else { return Ok(true) };
        let parent = if parent.is_empty() { "/" } else { parent };
        let words = ["find", parent, "-mindepth", "1", "-maxdepth", "1"];
        let ended = self.way.run("list a folder", &words, b"", LONG)?;
        if ended.code != 0 && ended.stdout.is_empty() {
            return if parent == "/" { Ok(true) } else { self.is_there(parent) };
        }
        let listed = String::from_utf8_lossy(&ended.stdout);
        Ok(listed.lines().any(|line| line.rsplit('/').next() == Some(name)))
    }

    fn answer(&self, asked: &str, problem: impl Into<String>) -> NodeError {
        NodeError::Answer { node: self.way.shown(), asked: asked.into(), problem: problem.into() }
    }
}

/// What `stat -c` is asked for. The kind is a part of the mode: its name, `%F`, is in any language.
const STAT: &str = "%s %d %u %g %f %n";
/// Kinds of files in a mode.
const KIND: u32 = 0o170_000;

fn entry(line: &str) -> Option<FileEntry> {
    let mut fields = line.splitn(6, ' ');
    let size = fields.next()?.parse().ok()?;
    let device = fields.next()?.parse().ok()?;
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let kind = match u32::from_str_radix(fields.next()?, 16).ok()? & KIND {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Folder,
        0o120_000 => FileKind::Link,
        _ => FileKind::Other,
    };
    let name = fields.next()?.rsplit('/').next()?.to_owned();
    Some(FileEntry { name, kind, size, device, uid, gid })
}

impl NodeFiles for RemoteFiles {
    fn node(&self) -> String {
        self.way.shown()
    }

    fn streams(&self) -> Option<&dyn NodeStreams> {
        Some(self)
    }

    fn list(&self, folder: &Path) -> Result<Option<Vec<FileEntry>>> {
        let doing = format!("list {}", folder.display());
        let rest = ["-mindepth", "1", "-maxdepth", "1", "-exec", "stat", "-c", STAT, "{}", "+"];
        let Some(output) = self.find_output(&doing, folder, &rest)? else { return Ok(None) };
        let entries = output
            .lines()
            .map(|line| entry(line).ok_or_else(|| self.answer("stat", format!("{line:?}"))))
            .collect::<Result<_>>()?;
        Ok(Some(entries))
    }

    fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(None);
        };
        let doing = format!("read {}", path.display());
        // Not every busybox reads names from a list.
        let words = ["tar", "-c", "-f", "-", "-C", self.text(folder)?, "--", name];
        let ended = self.way.run(&doing, &words, b"", LONG)?;
        let mut content = None;
        let unpacked = take_all(ended.stdout.as_slice(), false, &mut |file| {
            if file.size <= most {
                let mut bytes = Vec::new();
                file.content.read_to_end(&mut bytes)?;
                content = Some(Ok(bytes));
            } else {
                content = Some(Err(file.size));
            }
            Ok(true)
        });
        match content {
            Some(Ok(bytes)) if ended.code == 0 && unpacked.is_ok() => Ok(Some(bytes)),
            Some(Err(size)) => Err(self.answer("tar", format!("{} has {size} bytes", path.display()))),
            // What tar says of a file that is not there is in any language.
            _ if ended.code != 0 && !self.is_there(self.text(path)?)? => Ok(None),
            _ => Err(self.way.failed(&doing, &words, &ended)),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Err(self.answer("write", format!("{} names no file", path.display())));
        };
        let partial = format!("{name}.partial");
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        let mut builder = tar::Builder::new(Vec::new());
        let packed = builder.append_data(&mut header, &partial, content).and_then(|()| builder.into_inner());
        let packed = packed.map_err(|e| self.answer("write", e.to_string()))?;
        let doing = format!("write {}", path.display());
        self.way.succeed(&doing, &["tar", "-x", "-f", "-", "-C", self.text(folder)?], &packed, SHORT)?;
        let partial = folder.join(partial);
        let words = ["mv", "-f", "--", self.text(&partial)?, self.text(path)?];
        self.way.succeed(&doing, &words, b"", SHORT)?;
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        let doing = format!("create the folder {}", path.display());
        self.way.succeed(&doing, &["mkdir", "-m", "700", "--", self.text(path)?], b"", SHORT)?;
        Ok(())
    }

    fn move_into(&self, paths: &[PathBuf], folder: &Path) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let doing = format!("move files to {}", folder.display());
        let folder = format!("{}/", self.text(folder)?);
        let mut words = vec!["mv", "--"];
        words.extend(self.texts(paths)?);
        words.push(&folder);
        self.way.succeed(&doing, &words, b"", SHORT)?;
        Ok(())
    }

    fn remove(&self, paths: &[PathBuf]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut words = vec!["rm", "-rf", "--"];
        words.extend(self.texts(paths)?);
        self.way.succeed("remove old files", &words, b"", LONG)?;
        Ok(())
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64> {
        let doing = format!("ask for room in {}", folder.display());
        let output = self.way.succeed(&doing, &["df", "-P", "-k", self.text(folder)?], b"", SHORT)?;
        let output = String::from_utf8_lossy(&output).into_owned();
        // Filesystem, blocks, used, available, capacity, mount point; the first may have spaces.
        let available = output.lines().nth(1).and_then(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let capacity = fields.iter().position(|field| field.ends_with('%'))?;
            fields.get(capacity.checked_sub(1)?)?.parse::<u64>().ok()
        });
        available.map(|kib| kib.saturating_mul(1024)).ok_or_else(|| self.answer("df", format!("{output:?}")))
    }

    fn sync(&self, _: &Path) -> Result<()> {
        self.way.succeed("make files durable", &["sync"], b"", LONG)?;
        Ok(())
    }
}

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
        let owner = owner.unwrap_or(Owner { uid: 0, gid: 0 });
        Ok(Box::new(TarStream::new(running, self.way.shown(), owner)?))
    }

    fn tails(&self, folder: &Path, paths: &[String], bytes: u64) -> Result<Vec<Option<Vec<u8>>>> {
        let folder = self.text(folder)?.trim_end_matches('/');
        let paths: Vec<String> = paths.iter().map(|path| format!("{folder}/{path}")).collect();
        let mut input = Vec::new();
        for path in &paths {
            input.extend_from_slice(path.as_bytes());
            input.push(0);
        }
        let (doing, count) = ("look at the ends of files", bytes.to_string());
        let words = ["xargs", "-0", "tail", "-v", "-c", &count, tails::FIRST];
        let ended = self.way.run(doing, &words, &input, LONG)?;
        // Files that are missing make it end with another code than 0, too.
        match ended.code {
            0 | 1 | 123 => Ok(tails::parse(&ended.stdout, &paths)),
            _ => Err(self.way.failed(doing, &words, &ended)),
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
        let broken =
            |problem: String| NodeError::Connection { node: self.way.shown(), doing: doing.into(), problem };
        let mut running = self.way.spawn(doing, &words)?;
        let (Some(mut stdin), Some(stdout)) = (running.stdin(), running.stdout()) else {
            return Err(broken("the program has no input or output".into()));
        };
        let taken = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut names = String::new();
                for chunk in paths.chunks(1000) {
                    names.clear();
                    for path in chunk {
                        names.push_str(path);
                        names.push(end);
                    }
                    // It ends early where the other side does, which is told there.
                    if stdin.write_all(names.as_bytes()).is_err() {
                        return;
                    }
                }
            });
            let taken = take_all(stdout, by_xargs, &mut *take);
            if !matches!(taken, Ok(Packing::Whole)) {
                running.kill();
            }
            taken
        });
        match taken {
            Ok(Packing::Ended) => Ok(Packing::Ended),
            Ok(Packing::Whole) => match running.finish(doing, false)? {
                (0, _) => Ok(Packing::Whole),
                (_, said) if !by_xargs && says_no_to_lists(&said) => {
                    self.no_lists.store(true, Ordering::Relaxed);
                    self.pack(Path::new(folder), paths, take)
                }
                (code, _) if TAR_COMPLAINED.contains(&code) || (by_xargs && code == XARGS_COMPLAINED) => {
                    Ok(Packing::Whole)
                }
                (code, said) => Err(broken(problem(code, &said))),
            },
            Err(e) => Err(match running.finish(doing, false) {
                Err(known) => known,
                Ok((code, said)) if code != 0 => broken(format!("{e}; {}", problem(code, &said))),
                Ok(_) => broken(e.to_string()),
            }),
        }
    }
}

/// Tells whether what was read ends in a block of zeros, as a whole tar stream does.
struct EndWatch<R> {
    inner: R,
    nothing: bool,
    zeros: usize,
}

impl<R: Read> Read for EndWatch<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.nothing &= count == 0;
        let zeros = buf[..count].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count { self.zeros + count } else { zeros };
        Ok(count)
    }
}

/// Hands over every regular file of a tar stream, or of several ones after each other, to its very end: a program that waits to
/// be read does not end.
fn take_all(stdout: impl Read, several: bool, take: &mut TakeFile<'_>) -> std::io::Result<Packing> {
    let stdout = EndWatch { inner: stdout, nothing: true, zeros: 0 };
    let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(256 << 10, stdout));
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
    std::io::copy(&mut rest, &mut std::io::sink())?;
    // Nothing at all comes of a folder that is not there.
    if !rest.get_ref().nothing && rest.get_ref().zeros < 512 {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the tar stream was cut off"));
    }
    Ok(Packing::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                std::io::copy(file.content, &mut std::io::sink())?;
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

    #[test]
    fn stat_lines() {
        let parsed = entry("4096 65024 33 33 41ed /d/sha red").unwrap();
        assert_eq!((parsed.name.as_str(), parsed.kind, parsed.uid), ("sha red", FileKind::Folder, 33));
        assert_eq!(entry("0 1 0 0 81a4 /d/_dbs.couch").unwrap().kind, FileKind::File);
        assert_eq!(entry("3 1 0 0 a1ff /d/x").unwrap().kind, FileKind::Link);
        assert_eq!(entry("nonsense"), None);
    }
}
