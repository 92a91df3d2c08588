//! Compiled plugins, kept from one run to the next.
//!
//! Compiled code is machine code that is run as it is, so it is taken only from a folder that nobody else can write, and
//! only with the hash that it was written with. It fits one version of wasmtime, one processor and one set of settings; all
//! of that is in its name. Whatever is wrong with the cache, plugins run: they are compiled again.

use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// Beside the code: its hash.
const HASH_SUFFIX: &str = ".blake3";

/// The folder with the compiled plugins; `None` if there is none that can be trusted.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        let trusted = folder.filter(|folder| match make_private(folder) {
            Ok(()) => true,
            Err(why) => {
                tracing::debug!("compiled plugins are not kept in {}: {why}", folder.display());
                false
            }
        });
        Self { folder: trusted }
    }

    /// The component of these bytes, if it was compiled before.
    pub(crate) fn kept(&self, engine: &Engine, hash: &blake3::Hash) -> Option<Component> {
        load(engine, &self.path(engine, hash)?)
    }

    /// Compiles a component, and keeps it.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        bytes: &[u8],
        hash: &blake3::Hash,
    ) -> wasmtime::Result<Component> {
        let component = Component::from_binary(engine, bytes)?;
        if let Some(path) = self.path(engine, hash) {
            let kept =
                component.serialize().map_err(|e| format!("{e:#}")).and_then(|code| store(&path, &code));
            if let Err(why) = kept {
                tracing::debug!("a compiled plugin is not kept in {}: {why}", path.display());
            }
        }
        Ok(component)
    }

    fn path(&self, engine: &Engine, hash: &blake3::Hash) -> Option<PathBuf> {
        self.folder.as_deref().map(|folder| folder.join(file_name(engine, hash)))
    }
}

fn file_name(engine: &Engine, hash: &blake3::Hash) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}.cwasm", hash.to_hex(), hasher.finish())
}

/// Makes the folder if need be; says why it cannot be trusted.
fn make_private(folder: &Path) -> Result<(), String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| e.to_string())?;
    private(&fs::symlink_metadata(folder).map_err(|e| e.to_string())?, true)
}

/// Whether nobody but this user can write there.
fn private(found: &fs::Metadata, folder: bool) -> Result<(), String> {
    if found.is_dir() != folder || (!folder && !found.is_file()) {
        return Err("it is not a regular file or a directory".into());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".into());
    }
    if found.mode() & 0o022 != 0 {
        return Err("other users may write there".into());
    }
    Ok(())
}

/// Opens a file of the cache for reading, if nobody but this user can have written it.
fn open(path: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    private(&file.metadata().ok()?, false).ok()?;
    Some(file)
}

fn hash_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(HASH_SUFFIX);
    name.into()
}

#[allow(unsafe_code)]
fn load(engine: &Engine, path: &Path) -> Option<Component> {
    let mut written = String::new();
    open(&hash_path(path))?.take(100).read_to_string(&mut written).ok()?;
    let code = open(path)?;
    let found = blake3::Hasher::new().update_reader(&code).ok()?.finalize();
    if found.to_hex().as_str() != written {
        tracing::debug!("{} is damaged; it is compiled again", path.display());
        return None;
    }
    // SAFETY: wasmtime asks that these bytes come from `Component::serialize`, were not changed, and do not change while
    // they are mapped. They were written by `store` below, which puts a new file in the old one's place and never changes
    // one, into a file that belongs to this user and that nobody else may write, in a folder of which the same was found
    // when the cache was opened; and they still have the hash that was written with them. That they fit this wasmtime,
    // its settings and this processor, wasmtime checks by itself.
    unsafe { Component::deserialize_file(engine, path) }.ok()
}

fn store(path: &Path, code: &[u8]) -> Result<(), String> {
    let folder = path.parent().ok_or("it has no folder")?;
    let put = |path: &Path, bytes: &[u8]| -> Result<(), String> {
        let mut file =
            tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(|e| e.to_string())?;
        file.write_all(bytes).map_err(|e| e.to_string())?;
        file.persist(path).map(|_| ()).map_err(|e| e.to_string())
    };
    put(path, code)?;
    put(&hash_path(path), blake3::hash(code).to_hex().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The smallest component there is.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn code_file(folder: &Path) -> PathBuf {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut code: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect();
        assert_eq!(code.len(), 1, "{code:?}");
        code.remove(0)
    }

    #[test]
    fn compiled_code_is_kept_and_damage_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("cache/plugins");
        let cache = Cache::new(Some(folder.clone()));
        let engine = crate::engine::TickingEngine::new().unwrap();
        let hash = blake3::hash(EMPTY);
        cache.compile(&engine.engine, EMPTY, &hash).unwrap();
        let file = code_file(&folder);
        assert!(cache.kept(&engine.engine, &hash).is_some());

        let good = fs::read(&file).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert!(load(&engine.engine, &file).is_none(), "a bit at {at}");
        }
        fs::write(&file, &good[..20]).unwrap();
        assert!(load(&engine.engine, &file).is_none(), "cut");
        cache.compile(&engine.engine, EMPTY, &hash).unwrap();
        assert_eq!(fs::read(&file).unwrap().len(), good.len(), "made anew");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(load(&engine.engine, &file).is_none(), "others may write it");
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::new(Some(home.path().to_owned())).folder.is_none());
        let link = home.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Cache::new(Some(link)).folder.is_none());
    }
}
