//! Files that only programs on the node can reach: GNU's or busybox's `tar`, `find`, `stat`, `mkdir`, `mv`, `rm`, `df`, `sync`; and
//! `tail`, `xargs` and `dd` for a look at many copies of the same data, and for what has been appended to files.
//!
//! No shell reads anything, and nothing is left on the node.

mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{FileEntry, FileKind, NodeFiles, NodeStreams};
use crate::error::{NodeError, Result};
use crate::way::Way;
use streams::take_all;

/// How long a small command may take.
const SHORT: Duration = Duration::from_secs(120);
/// How long going through, removing or bringing to the disk everything may take.
const LONG: Duration = Duration::from_secs(24 * 3600);
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
const REGULAR: u32 = 0o100_000;

fn entry(line: &str) -> Option<FileEntry> {
    let mut fields = line.splitn(6, ' ');
    let size = fields.next()?.parse().ok()?;
    let device = fields.next()?.parse().ok()?;
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let kind = match u32::from_str_radix(fields.next()?, 16).ok()? & KIND {
        REGULAR => FileKind::File,
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

    fn while_stopped(&self) -> Result<Option<Box<dyn NodeFiles>>> {
        let stopped = self.way.while_stopped()?;
        Ok(stopped.map(|way| Box::new(Self { way, no_lists: self.no_lists.clone() }) as Box<dyn NodeFiles>))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let parsed = entry("4096 65024 33 33 41ed /d/sha red").unwrap();
        assert_eq!((parsed.name.as_str(), parsed.kind, parsed.uid), ("sha red", FileKind::Folder, 33));
        assert_eq!(entry("0 1 0 0 81a4 /d/_dbs.couch").unwrap().kind, FileKind::File);
        assert_eq!(entry("3 1 0 0 a1ff /d/x").unwrap().kind, FileKind::Link);
        assert_eq!(entry("nonsense"), None);
    }
}
