//! Where plugins are.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::builtin;
use crate::error::{LoadFailure, PluginError, Result};
use crate::kind::Kind;
use crate::text::is_name;

/// The largest plugin that is read, in MiB; one made from Python has some 18.
const MAX_MIB: u64 = 64;
/// Plugins that an administrator has installed for all.
const SYSTEM: &str = "/usr/lib/couchcopy/plugins";

/// Folders that couchcopy uses, as the XDG base directory specification places them.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Where plugins are looked for, the first one first.
    pub plugins: Vec<PathBuf>,
    /// Where compiled plugins are kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// Where grants and the configuration are; `None`: nowhere.
    pub config: Option<PathBuf>,
}

impl Folders {
    /// Those of this process's environment: `XDG_DATA_HOME`, `XDG_CACHE_HOME`, `XDG_CONFIG_HOME`, else below `HOME`.
    pub fn of_environment() -> Self {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let place = |name: &str, default: &str| {
            let base = absolute(name).or_else(|| home.as_ref().map(|home| home.join(default)))?;
            Some(base.join("couchcopy"))
        };
        Self {
            plugins: place("XDG_DATA_HOME", ".local/share")
                .map(|folder| folder.join("plugins"))
                .into_iter()
                .chain([PathBuf::from(SYSTEM)])
                .collect(),
            cache: place("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("plugins")),
            config: place("XDG_CONFIG_HOME", ".config"),
        }
    }
}

/// Where a plugin came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It came with couchcopy.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// A plugin that was found.
pub(crate) struct Found {
    pub(crate) origin: Origin,
    /// Bytes.
    pub(crate) size: u64,
    content: Content,
}

enum Content {
    BuiltIn(&'static [u8]),
    File(File),
}

impl Found {
    pub(crate) fn built_in(built_in: &builtin::BuiltIn) -> Self {
        Self {
            origin: Origin::BuiltIn,
            size: built_in.bytes.len() as u64,
            content: Content::BuiltIn(built_in.bytes),
        }
    }

    /// BLAKE3 of its bytes.
    pub(crate) fn hash(&self) -> Result<blake3::Hash> {
        match &self.content {
            Content::BuiltIn(bytes) => Ok(blake3::hash(bytes)),
            Content::File(file) => {
                let mut hasher = blake3::Hasher::new();
                from_beginning(file)
                    .and_then(|reader| hasher.update_reader(reader).map(|_| ()))
                    .map_err(|e| self.io(e))?;
                Ok(hasher.finalize())
            }
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Result<Cow<'static, [u8]>> {
        match &self.content {
            Content::BuiltIn(bytes) => Ok(Cow::Borrowed(bytes)),
            Content::File(file) => {
                let mut bytes = Vec::new();
                from_beginning(file)
                    .and_then(|mut reader| reader.read_to_end(&mut bytes))
                    .map_err(|e| self.io(e))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    fn io(&self, error: std::io::Error) -> PluginError {
        let path = match &self.origin {
            Origin::BuiltIn => PathBuf::from("a built-in plugin"),
            Origin::File(path) => path.clone(),
        };
        PluginError::io("read", path, error)
    }
}

/// A file from its beginning, and no further than a plugin may go.
fn from_beginning(mut file: &File) -> std::io::Result<impl Read> {
    file.seek(SeekFrom::Start(0))?;
    Ok(file.take(MAX_MIB << 20))
}

/// Finds a plugin: a path (with a `/`, or ending in `.wasm`), a built-in one, or `NAME.wasm` in one of the folders.
pub(crate) fn find(name: &str, kind: Kind, folders: &Folders) -> Result<Found> {
    if is_path(name) {
        return open(Path::new(name));
    }
    if let Some(built_in) = builtin::find(kind, name) {
        return Ok(Found::built_in(built_in));
    }
    let named = if is_name(name) { files(folders, name) } else { Vec::new() };
    match named.first() {
        Some(path) => open(path),
        None => Err(PluginError::NotFound {
            name: crate::text::printable(name),
            kind,
            built_in: builtin::names(kind),
            looked: folders.plugins.clone(),
        }),
    }
}

/// Whether a reference is a path and not a name.
pub(crate) fn is_path(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "wasm")
}

fn files(folders: &Folders, name: &str) -> Vec<PathBuf> {
    let candidates = folders.plugins.iter().map(|folder| folder.join(format!("{name}.wasm")));
    candidates.filter(|path| path.is_file()).collect()
}

/// All files in the folders that could be plugins, by name.
pub(crate) fn installed(folders: &Folders) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders
        .plugins
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm") && path.is_file())
        .collect();
    found.sort();
    found
}

/// Opens a plugin's file.
pub(crate) fn open(path: &Path) -> Result<Found> {
    let io = |e| PluginError::io("read", path, e);
    // Else whoever opens a pipe waits until somebody writes to it.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?;
    let refused =
        |failure| PluginError::Load { plugin: crate::text::printable(&path.display().to_string()), failure };
    if !found.is_file() {
        return Err(refused(LoadFailure::NotAComponent("it is not a file".into())));
    }
    if found.len() > MAX_MIB << 20 {
        return Err(refused(LoadFailure::TooLarge { mib: found.len() >> 20, limit: MAX_MIB }));
    }
    let origin = Origin::File(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    Ok(Found { origin, size: found.len(), content: Content::File(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        for path in ["./x", "/a/b.wasm", "x.wasm", "a/b"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["systemd", "x2-y"] {
            assert!(!is_path(name), "{name}");
        }
    }

    #[test]
    fn a_plugin_is_looked_for_in_the_folders_in_order() {
        let home = tempfile::tempdir().unwrap();
        let folders =
            Folders { plugins: vec![home.path().join("a"), home.path().join("b")], ..Folders::default() };
        let missing = find("mine", Kind::Service, &folders);
        assert!(matches!(missing, Err(PluginError::NotFound { .. })));
        for (folder, content) in [("b", "2"), ("a", "1")] {
            std::fs::create_dir(home.path().join(folder)).unwrap();
            std::fs::write(home.path().join(folder).join("mine.wasm"), content).unwrap();
            assert_eq!(&*find("mine", Kind::Service, &folders).unwrap().bytes().unwrap(), content.as_bytes());
        }
        assert!(find("../a/mine", Kind::Service, &folders).is_err());
        assert_eq!(installed(&folders).len(), 2);
    }
}
