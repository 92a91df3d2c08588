//! Files that only programs on the node can reach: GNU's or busybox's `tar`, `find`, `stat`, `mkdir`, `mv`, `rm`, `df`,
//! `sync`, `readlink`; and `tail`, `xargs` and `dd` to read the ends of many copies of the same data, and what has been
//! appended to files.
//!
//! No shell reads anything, and nothing is left on the node. Whatever comes from there, and whatever is sent there, is
//! checked for having arrived completely: see `framing`.

mod broken;
mod dd;
mod listing;
mod moving;
mod packed;
mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::framing::Broken;
use super::odd::{MOUNTS, OddEntry, Oddity, mounts_below};
use super::{FileEntry, FileKind, NodeFiles, NodeStreams, tails};
use crate::error::{NodeError, Result};
use crate::way::Way;
use broken::patiently;
use listing::END;
use packed::{Part, take_all};

/// How long a small command may take.
const SHORT: Duration = Duration::from_secs(120);
/// How long going through, removing or bringing to the disk everything may take.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Bytes of the list of mounts that are read.
const MOUNTS_MOST: u64 = 4 << 20;
/// How often a file is written until it is on the node as it should be.
const WRITES: usize = 3;

/// Files of a node that is reached through node-access plugins.
#[derive(Debug, Clone)]
pub struct RemoteFiles {
    way: Way,
    /// Its `tar` takes no list of files, as busybox's in Debian: `xargs` has to call it.
    no_lists: Arc<AtomicBool>,
    /// Its `find` has to be started in `/`: it may not go back to the folder that commands start in.
    from_root: Arc<AtomicBool>,
}

impl RemoteFiles {
    /// The files of a node that is reached through programs of that node.
    pub fn new(way: Way) -> Self {
        Self { way, no_lists: Arc::default(), from_root: Arc::default() }
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

    fn answer(&self, asked: &str, problem: impl Into<String>) -> NodeError {
        NodeError::Answer { node: self.way.shown(), asked: asked.into(), problem: problem.into() }
    }

    /// The path of a folder without links in it; `None` if that cannot be known.
    fn real(&self, folder: &Path) -> Result<Option<PathBuf>> {
        let (doing, words) = ("look at the data folder", ["readlink", "-f", self.text(folder)?]);
        patiently(|| {
            let ended = self.way.run(doing, &words, b"", SHORT)?;
            if ended.code != 0 {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(&ended.stdout);
            match text.strip_suffix('\n') {
                Some(path) if path.starts_with('/') && !path.contains('\n') => Ok(Some(path.into())),
                Some(text) => Err(self.broken(doing, &words, &ended, Broken::garbled(text))),
                None => Err(self.broken(doing, &words, &ended, Broken::cut_off())),
            }
        })
    }

    /// The folder and the name of a path.
    fn parts<'p>(&self, doing: &str, path: &'p Path) -> Result<(&'p str, &'p str)> {
        match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (Some(folder), Some(name)) => Ok((self.text(folder)?, name)),
            _ => Err(self.answer(doing, format!("{} names no file", path.display()))),
        }
    }

    /// The content of a file, once; see [`NodeFiles::read`].
    fn read_once(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        let doing = format!("read {}", path.display());
        let (folder, name) = self.parts("read", path)?;
        // Not every busybox reads names from a list.
        let words = ["tar", "-c", "-f", "-", "-C", folder, "--", name, END];
        let ended = self.way.run(&doing, &words, b"", LONG)?;
        let mut content = None;
        let packed = take_all(ended.stdout.as_slice(), Part::One, &[name.to_owned()], &mut |file| {
            if file.size <= most {
                let mut bytes = Vec::new();
                file.content.read_to_end(&mut bytes)?;
                content = Some(Ok(bytes));
            } else {
                content = Some(Err(file.size));
            }
            Ok(true)
        });
        if packed.is_err() {
            let broken = packed::broken(&ended.stdout);
            return Err(self.broken(&doing, &words, &ended, broken));
        }
        match content {
            Some(Ok(bytes)) if ended.code == 0 => Ok(Some(bytes)),
            Some(Err(size)) => Err(self.answer("tar", format!("{} has {size} bytes", path.display()))),
            None if ended.code == 0 => Err(self.broken(&doing, &words, &ended, Broken::cut_off())),
            // What tar says of a file that is not there is in any language.
            None if self.existing(&[self.text(path)?])?.is_empty() => Ok(None),
            _ => Err(self.way.failed(&doing, &words, &ended)),
        }
    }

    /// Unpacks a file into a folder; gives why that failed.
    fn unpack_file(&self, doing: &str, path: &Path, content: &[u8]) -> Result<()> {
        let (folder, name) = self.parts(doing, path)?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        let mut builder = tar::Builder::new(Vec::new());
        let packed = builder.append_data(&mut header, name, content).and_then(|()| builder.into_inner());
        let packed = packed.map_err(|e| self.answer(doing, e.to_string()))?;
        let words = ["tar", "-x", "-f", "-", "-C", folder];
        self.way.succeed(doing, &words, &packed, SHORT)?;
        self.check_content(doing, &words, path, content)
    }

    /// Fails unless a file has this content.
    fn check_content(&self, doing: &str, words: &[&str], path: &Path, content: &[u8]) -> Result<()> {
        match self.read(path, content.len() as u64) {
            Ok(Some(found)) if found == content => Ok(()),
            Err(error @ NodeError::Connection { .. }) => Err(error),
            _ => {
                let what = format!("{} is not there as it was sent", path.display());
                Err(self.incomplete(doing, words, what))
            }
        }
    }
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
        Ok(stopped.map(|way| Box::new(Self { way, ..self.clone() }) as Box<dyn NodeFiles>))
    }

    fn list(&self, folder: &Path) -> Result<Option<Vec<FileEntry>>> {
        Ok(self.entries(&[folder])?.pop().flatten())
    }

    fn list_all(&self, folders: &[&Path]) -> Result<Vec<Option<Vec<FileEntry>>>> {
        self.entries(folders)
    }

    fn sum(&self, folder: &Path) -> Result<(u64, u64)> {
        self.counted(folder)
    }

    fn tail(&self, path: &Path, bytes: u64) -> Result<Option<Vec<u8>>> {
        let path = self.text(path)?;
        let words = ["tail", "-v", "-c", &bytes.to_string(), tails::FIRST, path, tails::LAST];
        Ok(self.ends(&words, b"", &[path.to_owned()])?.into_iter().next().flatten())
    }

    fn paths(&self, folder: &Path) -> Result<Vec<String>> {
        let files = self.found(folder)?.into_iter().filter(|found| found.kind == FileKind::File);
        Ok(files.map(|file| file.path).collect())
    }

    fn odd_entries(&self, folder: &Path) -> Result<Vec<OddEntry>> {
        let (Some(above), Some(name)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(Vec::new());
        };
        let beside = self.list(above)?.unwrap_or_default();
        let Some(top) = beside.iter().find(|entry| entry.name == name) else { return Ok(Vec::new()) };
        if top.kind == FileKind::Link {
            return Ok(vec![OddEntry { path: folder.to_owned(), oddity: Oddity::Link }]);
        }
        let mut odd = Vec::new();
        for found in self.found(folder)? {
            let oddity = match found.kind {
                FileKind::Link => Oddity::Link,
                FileKind::Other => Oddity::Special,
                FileKind::File | FileKind::Folder => continue,
            };
            odd.push(OddEntry { path: folder.join(found.path), oddity });
        }
        let mounted = |entry: &FileEntry| entry.kind == FileKind::Folder && entry.device != top.device;
        for entry in self.list(folder)?.unwrap_or_default().iter().filter(|entry| mounted(entry)) {
            odd.push(OddEntry { path: folder.join(&entry.name), oddity: Oddity::Mount });
        }
        // Mounts deeper down, and of folders of the same file system; other systems than Linux have no such list.
        if let (Some(list), Some(real)) = (self.tail(Path::new(MOUNTS), MOUNTS_MOST)?, self.real(above)?) {
            let real = real.join(name);
            let points = mounts_below(&String::from_utf8_lossy(&list), real.parent().unwrap_or(&real));
            for below in points.iter().filter_map(|point| point.strip_prefix(&real).ok()) {
                let path = if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(below) };
                odd.push(OddEntry { path, oddity: Oddity::Mount });
            }
        }
        odd.sort_unstable();
        odd.dedup();
        Ok(odd)
    }

    fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        patiently(|| self.read_once(path, most))
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let doing = format!("write {}", path.display());
        let (_, name) = self.parts("write", path)?;
        let partial = path.with_file_name(format!("{name}.partial"));
        // What was sent may have been cut off on its way, with an exit code of 0: it is read before it replaces anything.
        for attempt in 1.. {
            match self.unpack_file(&doing, &partial, content) {
                Ok(()) => break,
                Err(error @ NodeError::Connection { .. }) => return Err(error),
                Err(error) if attempt >= WRITES => return Err(error),
                Err(_) => {}
            }
        }
        let words = ["mv", "-f", "--", self.text(&partial)?, self.text(path)?];
        self.way.succeed(&doing, &words, b"", SHORT)?;
        self.check_content(&doing, &words, path, content)
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        let doing = format!("create the folder {}", path.display());
        self.way.succeed(&doing, &["mkdir", "-m", "700", "--", self.text(path)?], b"", SHORT)?;
        Ok(())
    }

    fn move_into(&self, paths: &[PathBuf], folder: &Path) -> Result<()> {
        if paths.is_empty() { Ok(()) } else { self.move_all(paths, folder) }
    }

    fn remove(&self, paths: &[PathBuf]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let doing = "remove old files";
        let paths = self.texts(paths)?;
        let words = [&["rm", "-rf", "--"], paths.as_slice()].concat();
        self.way.succeed(doing, &words, b"", LONG)?;
        match self.existing(&paths)?.first() {
            None => Ok(()),
            Some(left) => Err(self.incomplete(doing, &words, format!("{} is still there", left.name))),
        }
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64> {
        let doing = format!("ask for room in {}", folder.display());
        patiently(|| {
            let words = ["df", "-P", "-k", self.text(folder)?];
            let ended = self.way.run(&doing, &words, b"", SHORT)?;
            if ended.code != 0 {
                return Err(self.way.failed(&doing, &words, &ended));
            }
            available(&ended.stdout).map_err(|broken| self.broken(&doing, &words, &ended, broken))
        })
    }

    fn sync(&self, _: &Path) -> Result<()> {
        self.way.succeed("make files durable", &["sync"], b"", LONG)?;
        Ok(())
    }
}

/// The bytes that `df -P -k` says are available: one line below its headings.
fn available(output: &[u8]) -> Result<u64, Broken> {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (head, line) = match lines.as_slice() {
        [head, line] if line.ends_with('\n') => (head, line),
        [head, ..] if !head.starts_with("Filesystem") && head.ends_with('\n') => {
            return Err(Broken::garbled(head));
        }
        [_, _, _, ..] => return Err(Broken::twice()),
        _ => return Err(Broken::cut_off()),
    };
    // Filesystem, blocks, used, available, capacity, mount point; the first may have spaces.
    let fields: Vec<&str> = line.split_whitespace().collect();
    let found = fields
        .iter()
        .position(|field| field.ends_with('%'))
        .and_then(|capacity| fields.get(capacity.checked_sub(1)?)?.parse::<u64>().ok());
    found.map(|kib| kib.saturating_mul(1024)).ok_or_else(|| Broken::garbled(&format!("{head}{line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_as_df_tells_it() {
        let output = "Filesystem     1024-blocks    Used Available Capacity Mounted on\n\
                      my disk            9876543 1234567   7654321      14% /data 1\n";
        assert_eq!(available(output.as_bytes()), Ok(7_654_321 * 1024));
        for cut in 0..output.len() {
            assert_eq!(available(&output.as_bytes()[..cut]), Err(Broken::cut_off()), "{cut}");
        }
        assert_eq!(available(output.repeat(2).as_bytes()), Err(Broken::twice()));
        let welcome = format!("Welcome to db1\n{output}");
        assert_eq!(available(welcome.as_bytes()), Err(Broken::garbled("Welcome to db1")));
    }
}
