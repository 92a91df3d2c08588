//! The nodes' configuration files, if they are requested.
//!
//! They hold passwords. The record in the archive and the output contain only names of settings, and a restore never writes the
//! files.

mod secrets;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::Facts;
use contents::{ConfigurationFile, NodeConfiguration};
use node::{FileEntry, FileKind, LocalFiles, NodeError, NodeFiles};
use outcome::{Code, Failure, Result};

use crate::FolderArgument;
use crate::folder::NodeFolder;

/// Where packages install the configuration. The directory next to the data directory comes first.
const USUAL_FOLDERS: [&str; 2] = ["/opt/couchdb/etc", "/etc/couchdb"];
/// The files that CouchDB's start script reads.
const KNOWN: [&str; 3] = ["default.ini", "local.ini", "vm.args"];
/// Directories of additional configuration files.
const FOLDERS: [&str; 2] = ["default.d", "local.d"];
/// Largest configuration file, in bytes.
const LARGEST: u64 = 1 << 20;

/// A configuration file for the archive.
pub(super) struct SavedFile {
    pub(super) entry: String,
    pub(super) facts: Facts,
    pub(super) content: Vec<u8>,
}

/// What was found on all nodes.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) nodes: Vec<NodeConfiguration>,
    /// In the order of the archive.
    pub(super) files: Vec<SavedFile>,
}

/// Reads the configuration of all nodes: from the given directories or, if none are given, from the first usual directory that
/// holds configuration files.
///
/// Fails if a node has no configuration files, or if one cannot be read.
pub(super) fn read(
    wanted: &[PathBuf],
    arguments: &[FolderArgument],
    folders: &[NodeFolder],
) -> Result<Configuration> {
    let mut all = Configuration::default();
    let mut names = HashSet::new();
    for (argument, folder) in arguments.iter().zip(folders) {
        let files =
            folder.origin.far().cloned().unwrap_or_else(|| Arc::new(LocalFiles::new("this machine".into())));
        let name = match &folder.name {
            Some(name) => name.clone(),
            None => files.node(),
        };
        let mut unique = name.clone();
        for i in 2.. {
            if names.insert(unique.clone()) {
                break;
            }
            unique = format!("{name} {i}");
        }
        let wanted = if argument.config.is_empty() { wanted } else { &argument.config };
        let mut of_node = OfNode { files, record: NodeConfiguration::default(), read: Vec::new() };
        if wanted.is_empty() {
            of_node.find(&folder.path)?;
        } else {
            for folder in wanted {
                of_node.folder(&absolute(folder)?, Which::All)?;
            }
        }
        of_node.add_to(&mut all, unique, folder.name.as_ref())?;
    }
    all.files.sort_by(|a, b| a.entry.cmp(&b.entry));
    Ok(all)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Failure::io("find", path, e))
}

/// Which files of a directory are configuration files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Only files with CouchDB's own names: the directory is a guess and may belong to something else.
    Known,
    /// Every `.ini`.
    All,
}

struct OfNode {
    files: Arc<dyn NodeFiles>,
    record: NodeConfiguration,
    /// Path and content.
    read: Vec<(String, Vec<u8>)>,
}

impl OfNode {
    /// Searches the usual directories until one holds configuration files.
    fn find(&mut self, data: &Path) -> Result<()> {
        let data = absolute(data)?;
        let beside = data.parent().map(|parent| parent.join("etc"));
        let mut looked_into: Vec<PathBuf> = Vec::new();
        for folder in beside.into_iter().chain(USUAL_FOLDERS.map(PathBuf::from)) {
            if looked_into.contains(&folder) {
                continue;
            }
            let not_found = std::mem::take(&mut self.record.not_found);
            self.folder(&folder, Which::Known)?;
            if !self.read.is_empty() {
                return Ok(());
            }
            // Of a folder that is not CouchDB's it is enough to name it.
            self.record.not_found = not_found;
            self.record.not_found.push(folder.display().to_string());
            looked_into.push(folder);
        }
        Ok(())
    }

    /// Reads the files of a configuration directory.
    fn folder(&mut self, folder: &Path, which: Which) -> Result<()> {
        let Some(entries) = self.list(folder)? else {
            self.record.not_found.push(folder.display().to_string());
            return Ok(());
        };
        let before = self.read.len();
        let mut missing = Vec::new();
        for name in KNOWN {
            if !entries.iter().any(|entry| entry.name == name) {
                missing.push(folder.join(name).display().to_string());
            }
        }
        for entry in entries {
            let path = folder.join(&entry.name);
            if is_file(&entry)
                && (KNOWN.contains(&entry.name.as_str()) || (which == Which::All && is_ini(&entry.name)))
            {
                self.file(&path)?;
            } else if FOLDERS.contains(&entry.name.as_str()) {
                for entry in self.list(&path)?.unwrap_or_default() {
                    if is_file(&entry) && is_ini(&entry.name) {
                        self.file(&path.join(&entry.name))?;
                    }
                }
            }
        }
        if self.read.len() > before {
            self.record.not_found.extend(missing);
        } else {
            self.record.not_found.push(format!("{}/*.ini", folder.display()));
        }
        Ok(())
    }

    /// The entries of a directory, or of the directory that a link leads to.
    fn list(&self, folder: &Path) -> Result<Option<Vec<FileEntry>>> {
        let mut entries = self.files.list(&folder.join(""))?;
        if let Some(entries) = &mut entries {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(entries)
    }

    /// Reads a file, or the file that a link leads to.
    fn file(&mut self, path: &Path) -> Result<()> {
        // More than this shows that it is too large.
        let content = self.files.tail(path, LARGEST + 1)?;
        let Some(content) = content else { return self.not_read(path) };
        if content.len() as u64 > LARGEST {
            return Err(Failure::refused(
                Code::new("CC-B09"),
                format!("{} of {} has more than {LARGEST} bytes", path.display(), self.files.node()),
                "CouchDB's configuration files are smaller. Choose other directories with --config-dir.",
            ));
        }
        let path = path.display().to_string();
        if !self.read.iter().any(|(known, _)| *known == path) {
            self.read.push((path, content));
        }
        Ok(())
    }

    /// The error for a file that was listed and cannot be read: it was just removed, is a dangling link, or reading is not
    /// permitted.
    fn not_read(&mut self, path: &Path) -> Result<()> {
        let entries = path.parent().map(|folder| self.list(folder)).transpose()?.flatten();
        let entry = entries.into_iter().flatten().find(|entry| path.file_name() == Some(entry.name.as_ref()));
        // Of this machine a link that leads nowhere is as good as no file.
        if self.files.streams().is_none() || entry.is_none() {
            return Ok(());
        }
        Err(NodeError::Program {
            node: self.files.node(),
            doing: format!("read {}", path.display()),
            command: "tail".into(),
            problem: "has no permission to read it, or it is a dangling link".into(),
        }
        .into())
    }

    fn add_to(mut self, all: &mut Configuration, node: String, known: Option<&String>) -> Result<()> {
        if self.read.is_empty() {
            return Err(Failure::refused(
                Code::new("CC-B10"),
                format!(
                    "no configuration files of {node} were found; searched {}",
                    self.record.not_found.join(", ")
                ),
                "Give the directory that holds local.ini, local.d or vm.args with --config-dir DIR, or omit --with-config.",
            ));
        }
        self.read.sort();
        for (path, content) in self.read {
            let entry = entry_name(&node, &path);
            let secrets = secrets::secrets_of(&path, &content);
            self.record.files.push(ConfigurationFile {
                path: path.clone(),
                entry: entry.clone(),
                secrets: secrets.clone(),
            });
            let facts = Facts::Config { node: known.cloned(), path, secrets };
            all.files.push(SavedFile { entry, facts, content });
        }
        self.record.node = node;
        all.nodes.push(self.record);
        Ok(())
    }
}

fn is_file(entry: &FileEntry) -> bool {
    matches!(entry.kind, FileKind::File | FileKind::Link)
}

fn is_ini(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "ini")
}

/// The name of a node's file in the archive.
fn entry_name(node: &str, path: &str) -> String {
    let mut name = archive::CONFIG.to_owned();
    let parts = std::iter::once(node).chain(path.split('/').filter(|part| !part.is_empty()));
    for (i, part) in parts.enumerate() {
        if i > 0 {
            name.push(',');
        }
        for c in part.chars() {
            if matches!(c, ',' | '%' | '/') || c.is_control() {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(name, "%{byte:02X}");
                }
            } else {
                name.push(c);
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_archive_have_one_part() {
        assert_eq!(
            entry_name("couchdb@10.0.0.1", "/opt/couchdb/etc/local.d/a.ini"),
            "config,couchdb@10.0.0.1,opt,couchdb,etc,local.d,a.ini"
        );
        assert_eq!(entry_name("a/b,c", "/x%\n/é.ini"), "config,a%2Fb%2Cc,x%25%0A,é.ini");
    }
}
