//! Lists of files that show whether they arrived completely.
//!
//! `find` starts with the directories that are requested and ends with `/dev/null`, which every node has. It hands all that
//! it finds to `stat` twice: the first call prints a line for each file, the second a single dot. So the last line of a
//! complete list names `/dev/null`, and there are as many dots as lines, whatever the exit code says.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::broken::patiently;
use super::{LONG, RemoteFiles};
use crate::error::Result;
use crate::files::framing::Broken;
use crate::files::{FileEntry, FileKind, FoundFile};
use crate::way::Ended;

/// The file that ends every list.
pub(super) const END: &str = "/dev/null";
/// What the second call prints for each file.
const COUNTED: &str = ".";
/// The format of `stat -c`. The kind is a part of the mode: its name, `%F`, is in any language.
const LINE: &str = "%s %d %u %g %f %i %Y %n";
/// The format of `stat -c` for files whose names do not matter.
const SIZE: &str = "%f %s";

/// Kinds of files in a mode.
const KIND: u32 = 0o170_000;

/// What a mode, as `stat` prints it, says of the kind of a file.
pub(super) fn kind(mode: &str) -> Option<FileKind> {
    u32::from_str_radix(mode, 16).ok().map(kind_of)
}

fn kind_of(mode: u32) -> FileKind {
    match mode & KIND {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Folder,
        0o120_000 => FileKind::Link,
        _ => FileKind::Other,
    }
}

/// An entry whose name is the path that `find` gave.
fn entry(line: &str) -> Option<FileEntry> {
    let mut fields = line.splitn(8, ' ');
    let size = fields.next()?.parse().ok()?;
    let device = fields.next()?.parse().ok()?;
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let mode = u32::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.next()?.parse().ok()?;
    let changed = fields.next()?.parse().ok()?;
    let name = fields.next().filter(|path| path.starts_with('/'))?.to_owned();
    Some(FileEntry { name, kind: kind_of(mode), size, device, uid, gid, mode: mode & !KIND, inode, changed })
}

/// The kind of a file and its size. The end of the list is the only thing in it that is not a regular file.
fn size(line: &str) -> Option<(FileKind, u64)> {
    let (mode, size) = line.split_once(' ')?;
    Some((kind(mode)?, size.parse().ok()?))
}

/// The lines of a list, its end not among them, and how many files were counted besides.
fn lines<T>(
    output: &[u8],
    parse: impl Fn(&str) -> Option<T>,
    is_end: impl Fn(&T) -> bool,
) -> Result<(Vec<T>, usize), Broken> {
    let text = String::from_utf8_lossy(output);
    let (mut listed, mut counted, mut ended) = (Vec::new(), 0, false);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line == ".\n" {
            counted += 1;
            continue;
        }
        let parsed = line.strip_suffix('\n').and_then(&parse);
        let Some(one) = parsed else {
            // The last line may be the beginning of one, which begins with a number.
            let is_cut =
                !line.ends_with('\n') && (number > 0 || line.starts_with(|c: char| c.is_ascii_digit()));
            return Err(if is_cut { Broken::cut_off() } else { Broken::garbled(line) });
        };
        if ended {
            return Err(Broken::twice());
        }
        ended = is_end(&one);
        if !ended {
            listed.push(one);
        }
    }
    if !ended {
        return Err(Broken::cut_off());
    }
    // The end is counted as well.
    if counted == 0 { Err(Broken::cut_off()) } else { Ok((listed, counted - 1)) }
}

/// Whether programs complained of nothing but files that are not there.
fn is_about_missing(ended: &Ended) -> bool {
    let complaints =
        || ended.stderr.lines().filter(|line| line.contains("find: ") || line.contains("stat: "));
    complaints().next().is_some()
        && complaints().all(|line| line.contains("No such file") || line.contains("Not a directory"))
}

impl RemoteFiles {
    /// Runs `find` with these paths to start from; gives what it found. What is not there is not in the list.
    fn find_lines<T>(
        &self,
        doing: &str,
        starts: &[&str],
        tests: &[&str],
        format: &str,
        parse: impl Fn(&str) -> Option<T>,
        is_end: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>> {
        patiently(|| {
            loop {
                let from_root = self.from_root.load(Ordering::Relaxed);
                // What it complains about is read below.
                let env: &[&str] =
                    if from_root { &["env", "-C", "/", "LC_ALL=C"] } else { &["env", "LC_ALL=C"] };
                let print =
                    ["-exec", "stat", "-c", format, "{}", "+", "-exec", "stat", "-c", COUNTED, "{}", "+"];
                let words = [env, &["find"], starts, &[END], tests, &print].concat();
                let ended = self.way.run(doing, &words, b"", LONG)?;
                if !from_root && ended.code != 0 && ended.stderr.contains("initial working directory") {
                    // GNU's find goes back to where it was started, which may be a home that another user may not enter.
                    self.from_root.store(true, Ordering::Relaxed);
                    continue;
                }
                let (listed, counted) = lines(&ended.stdout, &parse, &is_end)
                    .map_err(|broken| self.broken(doing, &words, &ended, broken))?;
                if ended.code != 0 && !is_about_missing(&ended) {
                    return Err(self.way.failed(doing, &words, &ended));
                }
                // Files may vanish between both calls of stat; the second one complains about these.
                if counted > listed.len() || (counted < listed.len() && ended.code == 0) {
                    return Err(self.broken(doing, &words, &ended, Broken::cut_off()));
                }
                return Ok(listed);
            }
        })
    }

    /// The entries with everything that is known about each file. Their names are the paths that `find` gave.
    fn find_entries(&self, doing: &str, starts: &[&str], tests: &[&str]) -> Result<Vec<FileEntry>> {
        patiently(|| {
            let listed = self.find_lines(doing, starts, tests, LINE, entry, |entry| entry.name == END)?;
            let mut seen = HashSet::with_capacity(listed.len());
            if let Some(twice) = listed.iter().find(|entry| !seen.insert(entry.name.as_str())) {
                return Err(self.incomplete(doing, &["find"], format!("{} is listed twice", twice.name)));
            }
            Ok(listed)
        })
    }

    /// A folder as `find` is to be given it: it follows a link to one, and says where nothing else is a folder.
    fn start(&self, folder: &Path) -> Result<String> {
        Ok(format!("{}/.", self.text(folder)?.trim_end_matches('/')))
    }

    /// The entries of folders; `None` for one that is not there, or no folder.
    pub(super) fn entries(&self, folders: &[&Path]) -> Result<Vec<Option<Vec<FileEntry>>>> {
        let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let doing = format!("list {}", shown.join(" and "));
        let starts: Vec<String> = folders.iter().map(|folder| self.start(folder)).collect::<Result<_>>()?;
        let words: Vec<&str> = starts.iter().map(String::as_str).collect();
        let mut found: Vec<Option<Vec<FileEntry>>> = vec![None; folders.len()];
        for entry in self.find_entries(&doing, &words, &["-maxdepth", "1"])? {
            for (start, found) in starts.iter().zip(&mut found) {
                let Some(name) = entry.name.strip_prefix(start.as_str()) else { continue };
                if name.is_empty() {
                    found.get_or_insert_default();
                } else if let Some(name) = name.strip_prefix('/') {
                    let name = name.to_owned();
                    found.get_or_insert_default().push(FileEntry { name, ..entry });
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Which of these files and folders are there, links not followed.
    pub(super) fn existing(&self, paths: &[&str]) -> Result<Vec<FileEntry>> {
        self.find_entries("look what is there", paths, &["-maxdepth", "0"])
    }

    /// Everything below a folder that is not a folder, or is called like a view index.
    pub(super) fn found(&self, folder: &Path) -> Result<Vec<FoundFile>> {
        let doing = format!("list {}", folder.display());
        let start = self.start(folder)?;
        let tests = ["(", "!", "-type", "d", "-o", "-name", "*.view", ")"];
        let entries = self.find_entries(&doing, &[&start], &tests)?;
        let prefix = format!("{start}/");
        Ok(entries
            .into_iter()
            .filter_map(|FileEntry { name, kind, size, device, inode, changed, .. }| {
                let path = name.strip_prefix(&prefix)?.to_owned();
                Some(FoundFile { path, kind, size, device, inode, changed })
            })
            .collect())
    }

    /// Number and bytes of all regular files below a folder.
    pub(super) fn counted(&self, folder: &Path) -> Result<(u64, u64)> {
        let doing = format!("count the files in {}", folder.display());
        let start = self.start(folder)?;
        // The second kind is there for the end of the list only.
        let tests = ["(", "-type", "f", "-o", "-type", "c", ")"];
        let is_end = |(kind, _): &(FileKind, u64)| *kind != FileKind::File;
        let sizes = self.find_lines(&doing, &[&start], &tests, SIZE, size, is_end)?;
        Ok((sizes.len() as u64, sizes.iter().map(|(_, size)| size).sum()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "4096 65024 33 33 41ed 2 7 /d/.\n4096 65024 33 33 41ed 3 7 /d/./sha red\n0 1 0 0 81a4 4 7 /d/./f\n\
                          0 5 0 0 21b6 9 7 /dev/null\n.\n.\n.\n.\n";

    fn parsed(output: &str) -> Result<(Vec<FileEntry>, usize), Broken> {
        lines(output.as_bytes(), entry, |entry| entry.name == END)
    }

    #[test]
    fn entries_and_their_kinds() {
        let parsed = entry("4096 65024 33 34 41ed 7 1795975200 /d/sha red").unwrap();
        assert_eq!((parsed.name.as_str(), parsed.kind, parsed.uid), ("/d/sha red", FileKind::Folder, 33));
        assert_eq!((parsed.gid, parsed.inode, parsed.mode, parsed.changed), (34, 7, 0o755, 1_795_975_200));
        assert_eq!(entry("0 1 0 0 81a4 1 7 /d/_dbs.couch").unwrap().kind, FileKind::File);
        assert_eq!(entry("3 1 0 0 a1ff 1 7 /d/x").unwrap().kind, FileKind::Link);
        assert_eq!(entry("nonsense"), None);
        assert_eq!((size("81a4 17"), size("Hi there")), (Some((FileKind::File, 17)), None));
    }

    #[test]
    fn a_list_that_is_cut_off_anywhere_is_noticed() {
        let (listed, counted) = parsed(LISTED).unwrap();
        assert_eq!((listed.len(), counted), (3, 3));
        for cut in 0..LISTED.len() {
            match parsed(&LISTED[..cut]) {
                // All files are there then, and it shows that they were not counted to the end.
                Ok((listed, counted)) => assert!(listed.len() == 3 && counted < 3, "{cut}"),
                Err(broken) => assert_eq!(broken, Broken::cut_off(), "{cut}"),
            }
        }
    }

    #[test]
    fn a_list_that_comes_twice_or_with_other_text_is_noticed() {
        assert_eq!(parsed(&LISTED.repeat(2)), Err(Broken::twice()));
        for text in [format!("Welcome to db1\n{LISTED}"), format!("{LISTED}Welcome to db1\n")] {
            assert_eq!(parsed(&text), Err(Broken::Garbled("Welcome to db1".into())));
        }
        // A part that is missing in the middle is missing in the count.
        let (listed, counted) = parsed(&LISTED.replace("0 1 0 0 81a4 4 7 /d/./f\n", "")).unwrap();
        assert_ne!(listed.len(), counted);
    }
}
