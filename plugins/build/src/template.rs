//! A folder to begin a new plugin with.

mod manifest;
mod vendored;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use outcome::{Advice, Code, FailureKind, io_remedy};

use crate::component::Kind;

/// Where in the folder the SDK goes, laid out as in couchcopy's own source.
const VENDOR: &str = "vendor/couchcopy";

/// The most characters that a plugin's name may have.
const LONGEST_NAME: usize = 40;

/// Why there is no new plugin.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// No plugin may be called so.
    #[error("a plugin cannot be called {name:?}: {problem}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is such a folder, or file, already.
    #[error("{folder} exists already")]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that cannot be, unless couchcopy is wrong.
    #[error("internal error: the plugin SDK inside couchcopy is damaged: {0}")]
    Bug(String),
}

impl Advice for TemplateError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::BadName { .. } | Self::Exists { .. } => FailureKind::Refused,
            Self::Io { .. } => FailureKind::System,
            Self::Bug(_) => FailureKind::Bug,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::BadName { .. } => Code::new("CC-P42"),
            Self::Exists { .. } => Code::new("CC-P43"),
            Self::Io { .. } => Code::new("CC-P44"),
            Self::Bug(_) => Code::new("CC-P45"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::BadName { .. } => Some(
                "Give it a name of lower-case letters, digits and `-`, beginning with a letter, such as `acme`; it is \
                 what users will write after --service, --via or --transform."
                    .into(),
            ),
            Self::Exists { .. } => {
                Some("Give the plugin another name, or call this in another folder; nothing was changed.".into())
            }
            Self::Io { path, source } => io_remedy(path, source),
            Self::Bug(_) => Some("Please report it with this message.".into()),
        }
    }
}

/// Writes the crate of a new plugin that works, with tests, into a new folder of that name below `parent`, and gives its
/// path. All that is couchcopy's and that it needs goes with it.
pub fn create(parent: &Path, name: &str, kind: Kind) -> Result<PathBuf, TemplateError> {
    check_name(name)?;
    let files = files(name, kind)?;
    let folder = parent.join(name);
    fs::create_dir(&folder).map_err(|source| {
        let folder = folder.clone();
        match source.kind() {
            io::ErrorKind::AlreadyExists => TemplateError::Exists { folder },
            _ => TemplateError::Io { path: folder, source },
        }
    })?;
    for (path, text) in files {
        let path = folder.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        if let Err(source) = written {
            // It is ours, as it was not there before; half a crate is of no use, and would be in the way of another try.
            let _ = fs::remove_dir_all(&folder);
            return Err(TemplateError::Io { path, source });
        }
    }
    Ok(folder)
}

/// The contract's rule for names of plugins.
fn check_name(name: &str) -> Result<(), TemplateError> {
    let problem = if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        "it does not begin with a lower-case letter"
    } else if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        "it holds something else than lower-case letters, digits and `-`"
    } else if name.len() > LONGEST_NAME {
        "it has more than 40 characters"
    } else {
        return Ok(());
    };
    Err(TemplateError::BadName { name: name.into(), problem })
}

/// Every file, by its path in the folder.
fn files(name: &str, kind: Kind) -> Result<Vec<(String, String)>, TemplateError> {
    let (source, usage) = match kind {
        Kind::Service => {
            (include_str!("../template/service/lib.rs"), include_str!("../template/service/use.md"))
        }
        Kind::Access => {
            (include_str!("../template/access/lib.rs"), include_str!("../template/access/use.md"))
        }
        Kind::Filter => {
            (include_str!("../template/filter/lib.rs"), include_str!("../template/filter/use.md"))
        }
    };
    let workspace = manifest::Workspace::read()?;
    let edition = workspace.package("edition")?;
    let version = workspace.package("version")?;
    let fill = |text: &str| {
        text.replace("@USE@", usage.trim_end())
            .replace("@PACKAGE@", &format!("couchcopy-{kind}-{name}"))
            .replace("@NAME@", name)
            .replace("@KIND@", &kind.to_string())
            .replace("@VENDOR@", VENDOR)
            .replace("@EDITION@", &edition)
            .replace("@VERSION@", &version)
    };
    let mut files = vec![
        ("Cargo.toml".to_owned(), fill(include_str!("../template/Cargo.toml"))),
        ("README.md".to_owned(), fill(include_str!("../template/README.md"))),
        (".gitignore".to_owned(), include_str!("../template/gitignore").to_owned()),
        ("src/lib.rs".to_owned(), fill(source)),
    ];
    for (path, text) in vendored::FILES {
        files.push((format!("{VENDOR}/{path}"), (*text).to_owned()));
    }
    for (folder, text) in vendored::MANIFESTS {
        files.push((format!("{VENDOR}/{folder}/Cargo.toml"), workspace.detach(folder, text)?));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_refused() {
        let parent = tempfile::tempdir().expect("a folder");
        let long = "a".repeat(41);
        for name in ["", "-a", "1a", "A", "a_b", "a/b", "..", "a b", "ä", "a\n", long.as_str()] {
            let error = create(parent.path(), name, Kind::Service).expect_err(name);
            assert!(matches!(error, TemplateError::BadName { .. }), "{name:?}: {error}");
        }
        assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_exists_is_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::create_dir(parent.path().join("folder")).expect("a folder");
        fs::write(parent.path().join("file"), "mine").expect("a file");
        for name in ["folder", "file"] {
            let error = create(parent.path(), name, Kind::Access).expect_err(name);
            assert!(matches!(error, TemplateError::Exists { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(parent.path().join("folder")).expect("a folder").count(), 0);
        assert_eq!(fs::read_to_string(parent.path().join("file")).expect("a file"), "mine");
    }

    #[test]
    fn the_sdk_and_the_contract_go_along() {
        let files = files("acme", Kind::Service).expect("the files");
        for wanted in [
            "LICENSE",
            "plugins/sdk/src/lib.rs",
            "plugins/sdk/src/tunnel.rs",
            "plugins/sdk/src/json/edit.rs",
            "plugins/patterns/Cargo.toml",
            "wit/types.wit",
            "wit/tunnel.wit",
            "wit/documents.wit",
        ] {
            assert!(files.iter().any(|(path, _)| *path == format!("{VENDOR}/{wanted}")), "{wanted}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for kind in Kind::ALL {
            for (path, text) in files("acme", kind).expect("the files") {
                assert!(!text.contains("@NAME@") && !text.contains("workspace = true"), "{path}:\n{text}");
                assert!(
                    path.starts_with(VENDOR) || !text.split('@').skip(1).step_by(2).any(is_placeholder),
                    "{path}:\n{text}"
                );
            }
        }
    }

    fn is_placeholder(text: &str) -> bool {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase())
    }
}
