//! Reproducible `.tar.gz` files.

use std::collections::BTreeSet;

use flate2::{Compression, GzBuilder};
use outcome::{Failure, Result};
use tar::{Builder, EntryType, Header};

/// A file in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its path, without a `/` at its beginning.
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

impl File {
    /// A file that everybody may read.
    pub(crate) fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o644, content: content.into() }
    }

    /// A file that everybody may run.
    pub(crate) fn program(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { mode: 0o755, ..Self::new(path, content) }
    }
}

/// A `.tar.gz` of these files and the directories that they are in, below `./`, all of root's and of this time.
pub(crate) fn pack(files: &[File], directories: &[(&str, u32)], epoch: i64) -> Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut tar = Builder::new(gzip);
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let mut all: Vec<(String, u32, Option<&[u8]>)> = vec![("./".to_owned(), 0o755, None)];
    // dpkg makes no directory that the package does not name.
    let paths = sorted.iter().map(|file| file.path.as_str()).chain(directories.iter().map(|(path, _)| *path));
    for path in paths {
        for (at, _) in path.match_indices('/') {
            if done.insert(path[..at].to_owned()) {
                all.push((format!("./{}/", &path[..at]), 0o755, None));
            }
        }
    }
    for file in sorted {
        all.push((format!("./{}", file.path), file.mode, Some(&file.content)));
    }
    for (path, mode) in directories {
        all.retain(|(known, _, _)| *known != format!("./{path}/"));
        all.push((format!("./{path}/"), *mode, None));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    for (path, mode, content) in all {
        let mut header = Header::new_gnu();
        header.set_mode(mode);
        header.set_mtime(u64::try_from(epoch).unwrap_or(0));
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root").and_then(|()| header.set_groupname("root")).map_err(failed)?;
        header.set_size(content.map_or(0, |content| content.len() as u64));
        header.set_entry_type(if content.is_some() { EntryType::Regular } else { EntryType::Directory });
        // `append_data` drops the `./`, without which dpkg accepts the archive, too, but lists it differently.
        tar.append_data(&mut header, &path, content.unwrap_or_default()).map_err(failed)?;
    }
    let gzip = tar.into_inner().map_err(failed)?;
    gzip.finish().map_err(failed)
}

/// One file, compressed as Debian wants manual pages and changelogs.
pub(crate) fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(content).map_err(failed)?;
    gzip.finish().map_err(failed)
}

fn failed(error: std::io::Error) -> Failure {
    Failure::io("write", "an archive in memory", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_files_does_not_matter() {
        let (a, b) = (File::new("usr/bin/a", "1"), File::program("etc/b", "2"));
        let made = pack(&[a.clone(), b.clone()], &[("etc/x/y", 0o700)], 1000).unwrap();
        assert_eq!(made, pack(&[b, a], &[("etc/x/y", 0o700)], 1000).unwrap());
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(made.as_slice()));
        let entries: Vec<(String, u32, u64)> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let paths: Vec<&str> = entries.iter().map(|(path, _, _)| path.trim_start_matches("./")).collect();
        assert_eq!(paths, ["", "etc/", "etc/b", "etc/x/", "etc/x/y/", "usr/", "usr/bin/", "usr/bin/a"]);
        assert!(entries.iter().all(|(_, _, mtime)| *mtime == 1000));
        assert_eq!((entries[2].1, entries[3].1, entries[4].1), (0o755, 0o755, 0o700));
    }
}
