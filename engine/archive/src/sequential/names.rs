//! The names seen so far, in any order.

use std::collections::HashSet;

use crate::error::ArchiveError;

/// Files and folders of an archive, as hashes: names of an archive with a million files need not fit into
/// memory.
#[derive(Default)]
pub(super) struct NameSet {
    files: HashSet<u128>,
    folders: HashSet<u128>,
    /// The folder of the last file, whose own folders are known.
    last_folder: String,
}

/// Why a name may not come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NameError {
    Duplicate,
    /// A folder of this name has come, or a file in it.
    IsFolder,
    /// A file of this name has come, and this would be in it.
    IsFile(String),
}

impl NameError {
    pub(super) fn tell(self, archive: &str, name: &str) -> ArchiveError {
        match self {
            Self::Duplicate => {
                ArchiveError::DuplicateEntry { archive: archive.to_owned(), name: name.to_owned() }
            }
            Self::IsFolder => ArchiveError::refused(archive, name, "it is a file, and a folder, too"),
            Self::IsFile(folder) => {
                ArchiveError::refused(archive, name, format!("{folder:?} is a file, not a folder"))
            }
        }
    }
}

impl NameSet {
    /// Takes the name of a file.
    pub(super) fn add_file(&mut self, name: &str) -> Result<(), NameError> {
        if let Some((folder, _)) = name.rsplit_once('/')
            && folder != self.last_folder
        {
            self.add_folder(folder)?;
            self.last_folder.clear();
            self.last_folder.push_str(folder);
        }
        let key = key(name);
        if self.folders.contains(&key) {
            return Err(NameError::IsFolder);
        }
        if self.files.insert(key) { Ok(()) } else { Err(NameError::Duplicate) }
    }

    /// Takes the name of a folder, which may come often.
    pub(super) fn add_folder(&mut self, name: &str) -> Result<(), NameError> {
        let ends = name.match_indices('/').map(|(index, _)| index).chain([name.len()]);
        for folder in ends.filter_map(|end| name.get(..end)) {
            let key = key(folder);
            if self.files.contains(&key) {
                return Err(NameError::IsFile(folder.to_owned()));
            }
            self.folders.insert(key);
        }
        Ok(())
    }
}

/// Nobody finds two names with the same 128 bits of BLAKE3.
fn key(name: &str) -> u128 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_once_and_are_no_folders() {
        let mut names = NameSet::default();
        assert_eq!(names.add_file("a/b/c"), Ok(()));
        assert_eq!(names.add_file("a/b/d"), Ok(()));
        assert_eq!(names.add_folder("a/b"), Ok(()));
        assert_eq!(names.add_file("a/b/c"), Err(NameError::Duplicate));
        assert_eq!(names.add_file("a/b"), Err(NameError::IsFolder));
        assert_eq!(names.add_file("a"), Err(NameError::IsFolder));
        assert_eq!(names.add_file("a/b/c/e"), Err(NameError::IsFile("a/b/c".into())));
        assert_eq!(names.add_folder("a/b/c/e/f"), Err(NameError::IsFile("a/b/c".into())));
        assert_eq!(names.add_file("x"), Ok(()));
        assert_eq!(names.add_file("x"), Err(NameError::Duplicate));
    }
}
