//! The crates, and building one.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use plugin_build::{Built, Kind, Options, build};

use crate::error::{Result, TaskError};

/// The most that a built-in plugin may have, in bytes: all of them are in every copy of couchcopy.
pub const LARGEST: usize = 100_000;

/// The crate of a built-in plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `service-NAME`, `access-NAME` or `filter-NAME`.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// What its name says that it is.
    pub kind: Kind,
}

/// All of them, by name.
pub fn sources(root: &Path) -> Result<Vec<Source>> {
    let folder = root.join("plugins");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&folder).map_err(TaskError::io("read", &folder))? {
        let folder = entry.map_err(TaskError::io("read", &folder))?.path();
        let Some(name) = folder.file_name().and_then(OsStr::to_str) else { continue };
        let Some(kind) = kind_of(name) else { continue };
        if folder.join("Cargo.toml").is_file() {
            sources.push(Source { name: name.to_owned(), kind, folder });
        }
    }
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sources)
}

/// Those of the names given.
pub fn select(sources: &[Source], names: &[String]) -> Result<Vec<Source>> {
    let find = |name: &String| {
        let found = sources.iter().find(|source| source.name == *name).cloned();
        found.ok_or_else(|| TaskError::NoSource { name: name.clone() })
    };
    names.iter().map(find).collect()
}

fn kind_of(name: &str) -> Option<Kind> {
    [(Kind::Service, "service-"), (Kind::Access, "access-"), (Kind::Filter, "filter-")]
        .into_iter()
        .find_map(|(kind, prefix)| name.starts_with(prefix).then_some(kind))
}

impl Source {
    /// The name of the file that is built of it.
    pub fn file_name(&self) -> String {
        format!("{}.wasm", self.name)
    }

    /// Builds it.
    pub fn build(&self) -> Result<Built> {
        let options = Options { locked: true, ..Options::default() };
        let built = build(&self.folder, options)
            .map_err(|source| TaskError::Build { name: self.name.clone(), source })?;
        match self.fault(&built) {
            Some(problem) => Err(TaskError::Unfit { name: self.name.clone(), problem }),
            None => Ok(built),
        }
    }

    /// What keeps it from being built in. What it imports has been looked at already, or it would not be built.
    fn fault(&self, built: &Built) -> Option<String> {
        let package = format!("couchcopy-{}", self.name);
        if built.kind != self.kind {
            Some(format!("it exports a plugin of kind {}", built.kind))
        } else if built.package != package {
            Some(format!("its package is called {}, not {package}", built.package))
        } else if built.component.len() > LARGEST {
            Some(format!("it has {} bytes, more than the {LARGEST} allowed", built.component.len()))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_found_by_the_names_of_their_folders() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["service-b", "access-a", "sdk", "service-empty", "dist"] {
            let folder = root.path().join("plugins").join(name);
            fs::create_dir_all(&folder).expect("a folder");
            if name != "service-empty" {
                fs::write(folder.join("Cargo.toml"), "").expect("a file");
            }
        }
        let found = sources(root.path()).expect("a readable folder");
        assert_eq!(select(&found, &["service-b".to_owned()]).expect("it is there"), found[1..]);
        assert!(select(&found, &["service-c".to_owned()]).is_err());
        let found: Vec<_> = found.iter().map(|source| (source.file_name(), source.kind)).collect();
        assert_eq!(
            found,
            [("access-a.wasm".to_owned(), Kind::Access), ("service-b.wasm".to_owned(), Kind::Service)]
        );
    }
}
