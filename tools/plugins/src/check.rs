//! Whether the committed files are their source.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use plugin_build::{Record, kind, recorded};

use crate::error::{Result, TaskError};
use crate::sources::{LARGEST, Source};

/// How a committed file and one that was just built of the same source compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The same bytes.
    Equal,
    /// Nothing can be said of the bytes: the committed file was built with this toolchain, which is another one.
    OtherToolchain(Box<Record>),
    /// The committed file is wrong.
    Wrong(String),
}

/// Compares a committed file with what was just built.
pub fn compare(committed: &[u8], fresh: &[u8], present: &Record) -> Comparison {
    if committed.len() > LARGEST {
        return Comparison::Wrong(format!(
            "it has {} bytes, more than the {LARGEST} allowed",
            committed.len()
        ));
    }
    // Also where its bytes cannot be compared.
    if let Err(error) = kind(committed) {
        return Comparison::Wrong(error.to_string());
    }
    match recorded(committed) {
        Err(error) => Comparison::Wrong(error.to_string()),
        Ok(None) => Comparison::Wrong("it does not say what it was built with".into()),
        Ok(Some(record)) if record != *present => Comparison::OtherToolchain(Box::new(record)),
        Ok(Some(_)) if committed == fresh => Comparison::Equal,
        Ok(Some(_)) => Comparison::Wrong(
            "built of the source that lies here, with the very same toolchain, it has other bytes".into(),
        ),
    }
}

/// Files in `folder` that no crate stands for.
pub fn strangers(folder: &Path, sources: &[Source]) -> Result<Vec<String>> {
    let mut names = components(folder)?;
    names.retain(|name| !sources.iter().any(|source| source.file_name() == *name));
    Ok(names)
}

/// Files in `folder` that no crate stands for, and crates that no file in it stands for: as sentences.
pub fn unpaired(folder: &Path, sources: &[Source]) -> Result<Vec<String>> {
    let strangers = strangers(folder, sources)?.into_iter();
    let mut problems: Vec<_> =
        strangers.map(|name| format!("{name}: there is no crate that it is built of")).collect();
    let files = components(folder)?;
    let missing = sources.iter().map(Source::file_name).filter(|name| !files.contains(name));
    problems.extend(missing.map(|name| format!("{name}: it is missing")));
    Ok(problems)
}

/// The names of the components in a folder, which need not exist.
fn components(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder).map_err(TaskError::io("read", folder))? {
            let entry = entry.map_err(TaskError::io("read", folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if Path::new(&name).extension() == Some(OsStr::new("wasm")) {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use plugin_build::{Kind, StandardLibrary};

    use super::*;

    fn source(name: &str) -> Source {
        Source { name: name.into(), folder: PathBuf::new(), kind: Kind::Service }
    }

    #[test]
    fn files_and_crates_come_in_pairs() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["service-a.wasm", "service-gone.wasm", "README.md"] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let problems =
            unpaired(folder.path(), &[source("service-a"), source("service-new")]).expect("readable");
        assert_eq!(
            problems,
            ["service-gone.wasm: there is no crate that it is built of", "service-new.wasm: it is missing"]
        );
        let nowhere = unpaired(&folder.path().join("none"), &[source("service-a")]).expect("readable");
        assert_eq!(nowhere, ["service-a.wasm: it is missing"]);
    }

    #[test]
    fn what_is_no_plugin_is_wrong_whatever_it_was_built_with() {
        let record = Record {
            cargo: "cargo 1".into(),
            rustc: "rustc 1".into(),
            standard_library: StandardLibrary::Installed,
            linker: None,
            encoder: "none".into(),
        };
        assert!(matches!(compare(b"", b"", &record), Comparison::Wrong(_)));
        assert!(matches!(compare(&vec![0; LARGEST + 1], b"", &record), Comparison::Wrong(_)));
    }
}
