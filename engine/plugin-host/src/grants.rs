//! What the user has granted to plugins that are not built in.
//!
//! A grant is for a file's content, by its BLAKE3: whatever is changed in the file, it is another plugin. Grants that
//! couchcopy remembers are in `grants.toml`, those that an administrator writes in `config.toml`, both in the configuration
//! directory and in one form: `[[grant]]` with `plugin` and `hash`.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::description::Description;
use crate::error::{PluginError, Result};
use crate::find::{Folders, Origin};
use crate::kind::Kind;

/// The file that couchcopy writes.
const REMEMBERED: &str = "grants.toml";
/// The file that the user writes.
const CONFIGURED: &str = "config.toml";

/// The grant of one plugin: it may run the commands that it describes, as long as its file stays unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The plugin's name, for people.
    pub plugin: String,
    /// BLAKE3 of the file, 64 hexadecimal digits.
    pub hash: String,
    /// Where the file was, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// When it was granted (RFC 3339), for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantsFile {
    #[serde(default)]
    grant: Vec<Grant>,
}

/// All grants that are in force.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    folder: Option<PathBuf>,
    /// From the file that couchcopy writes.
    pub remembered: Vec<Grant>,
    /// From the configuration file.
    pub configured: Vec<Grant>,
}

/// Permission for a plugin to have its commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission(());

/// A plugin that may run nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ungranted {
    /// Its name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Its file.
    pub file: PathBuf,
    /// BLAKE3 of its file.
    pub hash: String,
    /// What it is for.
    pub kind: Kind,
    /// The commands that it needs to run, each with its purpose. A document filter has none.
    pub commands: Vec<(String, String)>,
    /// Whether another file with this path was granted: this file has changed, or is another plugin.
    pub was_granted: bool,
}

impl fmt::Display for Ungranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, version, file, was_granted, .. } = self;
        let file = file.display();
        if *was_granted {
            write!(
                f,
                "plugin {plugin} {version}: {file} is not the file that was granted; it has changed since then"
            )
        } else if self.kind.runs_commands() {
            write!(
                f,
                "plugin {plugin} {version} ({file}) has not been granted the commands that it needs to run"
            )
        } else {
            write!(f, "plugin {plugin} {version} ({file}) has not been granted to decide about documents")
        }
    }
}

impl Ungranted {
    /// The permission, given by the user when prompted.
    pub fn permit(&self) -> Permission {
        Permission(())
    }

    /// The commands that it needs to run, one per line.
    pub fn list(&self) -> String {
        let lines = self.commands.iter().map(|(pattern, purpose)| format!("\n  {pattern}\n      {purpose}"));
        lines.collect()
    }

    /// What it asks for, in words.
    pub fn request(&self) -> String {
        if self.kind.runs_commands() {
            format!("It needs to run:{}", self.list())
        } else {
            "It decides what is restored of each document, and runs no commands.".into()
        }
    }

    pub(crate) fn remedy(&self) -> String {
        format!(
            "{}\nTo allow this once, add --grant {}. To allow it from now on, run `couchcopy plugin grants --add {}`.",
            self.request(),
            self.plugin,
            self.file.display()
        )
    }
}

impl Grants {
    /// Reads the grants. Without a file there are no grants.
    pub fn read(folders: &Folders) -> Result<Self> {
        let Some(folder) = folders.config.clone() else { return Ok(Self::default()) };
        Ok(Self {
            remembered: read(&folder.join(REMEMBERED))?,
            configured: read(&folder.join(CONFIGURED))?,
            folder: Some(folder),
        })
    }

    /// The permission of a plugin, if it is built in, has been granted, or `once` holds its name, its path or its hash.
    pub(crate) fn permit(
        &self,
        kind: Kind,
        description: &Description,
        origin: &Origin,
        hash: &blake3::Hash,
        once: &[String],
    ) -> Result<Permission> {
        let Origin::File(file) = origin else { return Ok(Permission(())) };
        let hash = hash.to_hex().to_string();
        let all = || self.remembered.iter().chain(&self.configured);
        let named = |name: &String| {
            *name == description.name
                || *name == hash
                || std::path::absolute(name).is_ok_and(|path| crate::find::is_path(name) && path == *file)
        };
        if all().any(|grant| grant.hash == hash) || once.iter().any(named) {
            return Ok(Permission(()));
        }
        let commands = description
            .commands
            .iter()
            .map(|command| (command.pattern.to_string(), command.purpose.clone()))
            .collect();
        Err(PluginError::NotGranted(Box::new(Ungranted {
            plugin: description.name.clone(),
            version: description.version.clone(),
            file: file.clone(),
            kind,
            was_granted: all().any(|grant| grant.file.as_ref() == Some(file)),
            hash,
            commands,
        })))
    }

    /// Remembers a grant. It replaces an older grant for the same file.
    pub fn add(&mut self, grant: Grant) -> Result<()> {
        self.remembered
            .retain(|known| known.hash != grant.hash && (known.file.is_none() || known.file != grant.file));
        self.remembered.push(grant);
        self.write()
    }

    /// Forgets the grants of a plugin, by its name, its file or its hash; gives them.
    pub fn revoke(&mut self, what: &str) -> Result<Vec<Grant>> {
        let path = std::path::absolute(what).ok();
        let (gone, kept) = std::mem::take(&mut self.remembered).into_iter().partition(|grant: &Grant| {
            grant.plugin == what || grant.hash == what || (grant.file.is_some() && grant.file == path)
        });
        self.remembered = kept;
        self.write()?;
        Ok(gone)
    }

    /// The file that remembers grants.
    pub fn file(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(REMEMBERED))
    }

    fn write(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Err(PluginError::Configuration {
                path: PathBuf::from(REMEMBERED),
                problem: "has no directory: neither XDG_CONFIG_HOME nor HOME is set".into(),
            });
        };
        let path = folder.join(REMEMBERED);
        let io = |e| PluginError::io("write", &path, e);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let file = GrantsFile { grant: self.remembered.clone() };
        let text = toml::to_string(&file)
            .map_err(|e| PluginError::Configuration { path: path.clone(), problem: e.to_string() })?;
        let mut out = tempfile::Builder::new().prefix(".grants-").tempfile_in(folder).map_err(io)?;
        out.write_all(
            b"# Plugins that may have the commands run that they describe. couchcopy writes this file.\n\n",
        )
        .and_then(|()| out.write_all(text.as_bytes()))
        .and_then(|()| out.as_file().sync_all())
        .map_err(io)?;
        out.persist(&path).map(|_| ()).map_err(|e| io(e.error))
    }
}

fn read(path: &Path) -> Result<Vec<Grant>> {
    let wrong = |problem: String| PluginError::Configuration { path: path.to_owned(), problem };
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(PluginError::io("read", path, e)),
    };
    let owner = found.uid();
    if (owner != 0 && owner != rustix::process::geteuid().as_raw()) || found.mode() & 0o022 != 0 {
        return Err(wrong("can be written by other users, so the grants in it are not used".into()));
    }
    let text = fs::read_to_string(path).map_err(|e| PluginError::io("read", path, e))?;
    let file: GrantsFile = toml::from_str(&text).map_err(|e| wrong(format!("cannot be parsed: {e}")))?;
    Ok(file.grant)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn description() -> Description {
        Description {
            name: "mine".into(),
            version: "1".into(),
            summary: "x".into(),
            settings: Vec::new(),
            commands: Vec::new(),
        }
    }

    #[test]
    fn a_grant_is_for_a_files_content() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders { config: Some(home.path().join("config/couchcopy")), ..Folders::default() };
        let file = home.path().join("mine.wasm");
        let origin = Origin::File(file.clone());
        let (hash, other) = (blake3::hash(b"1"), blake3::hash(b"2"));
        let mut grants = Grants::read(&folders).unwrap();
        let permit = |grants: &Grants, hash, once: &[String]| {
            grants.permit(Kind::Service, &description(), &origin, hash, once)
        };

        assert!(grants.permit(Kind::Service, &description(), &Origin::BuiltIn, &hash, &[]).is_ok());
        assert!(permit(&grants, &hash, &[]).is_err());
        let filter = grants.permit(Kind::Filter, &description(), &origin, &hash, &[]).unwrap_err();
        assert!(filter.to_string().contains("has not been granted to decide about documents"), "{filter}");
        assert!(permit(&grants, &hash, &["mine".into()]).is_ok());
        assert!(permit(&grants, &hash, &[file.display().to_string()]).is_ok());
        assert!(permit(&grants, &hash, &["other".into()]).is_err());

        grants
            .add(Grant {
                plugin: "mine".into(),
                hash: hash.to_hex().to_string(),
                file: Some(file.clone()),
                granted: None,
            })
            .unwrap();
        let mut grants = Grants::read(&folders).unwrap();
        assert!(permit(&grants, &hash, &[]).is_ok());
        let changed = permit(&grants, &other, &[]).unwrap_err().to_string();
        assert!(changed.contains("has changed since"), "{changed}");

        assert_eq!(grants.revoke("mine").unwrap().len(), 1);
        assert!(permit(&Grants::read(&folders).unwrap(), &hash, &[]).is_err());
    }

    #[test]
    fn files_that_others_may_write_or_that_make_no_sense_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders { config: Some(home.path().to_owned()), ..Folders::default() };
        let config = home.path().join(CONFIGURED);
        let hash = blake3::hash(b"1").to_hex().to_string();
        fs::write(&config, format!("[[grant]]\nplugin = \"a\"\nhash = \"{hash}\"\n")).unwrap();
        assert_eq!(Grants::read(&folders).unwrap().configured.len(), 1);
        fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Grants::read(&folders).is_err());
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&config, "[[grants]]\n").unwrap();
        assert!(Grants::read(&folders).is_err());
    }
}
