//! Copies of small objects of a repository in a store, as they are there: encrypted, if they are encrypted.
//!
//! Objects never change, so a copy needs no question whether it is still right. Whoever reads one checks its signature or hash as
//! if it came from the store. A cache that cannot be written or read is no failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use store::Directory;

/// The most manifests that are kept.
const MANIFESTS: usize = 24;

/// Copies of objects on this machine; nothing if the repository is on this machine.
pub(crate) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// Of the repository at this place.
    pub(crate) fn of(directory: &Directory) -> Self {
        if directory.is_local() {
            return Self { folder: None };
        }
        let place = blake3::hash(directory.to_string().as_bytes()).to_hex();
        let name = place.as_str().get(..32).unwrap_or_default().to_owned();
        Self { folder: cache_home().map(|home| home.join("couchcopy/repositories").join(name)) }
    }

    /// Keeps nothing.
    pub(crate) fn none() -> Self {
        Self { folder: None }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(key.replace('/', ",")))
    }

    /// The copy of an object.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(key)?).ok()
    }

    /// Keeps a copy.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let (Some(path), Some(folder)) = (self.path(key), &self.folder) else { return };
        // Whatever fails: the object is asked for again.
        let _ = write(folder, &path, content);
        if key.starts_with(crate::names::MANIFESTS) {
            let _ = tidy(folder);
        }
    }

    /// Removes all copies.
    pub(crate) fn clear(&self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    /// Removes a copy that is not what it should be.
    pub(crate) fn remove(&self, key: &str) {
        if let Some(path) = self.path(key) {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn cache_home() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
}

fn write(folder: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let random = crate::names::random::<8>().map_err(|_| std::io::ErrorKind::Other)?;
    let partial = folder.join(format!(".{}", hex::encode(random)));
    let mut file = std::fs::File::create_new(&partial)?;
    let written = file.write_all(content).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        std::fs::remove_file(&partial)?;
    }
    written
}

/// Removes the manifests that were kept first.
fn tidy(folder: &Path) -> std::io::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(crate::names::MANIFESTS) {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    found.sort();
    let surplus = found.len().saturating_sub(MANIFESTS);
    for (_, path) in found.into_iter().take(surplus) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
