//! Reads a configuration file, and the cluster files that it names.

use std::path::{Path, PathBuf};

use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};
use site::ClusterFile;
use store::Settings;

use crate::document::{ClusterTable, Document};
use crate::examine::Examination;
use crate::keys;
use crate::mistake::Mistake;

/// What was found in a configuration file.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The file.
    pub file: PathBuf,
    /// Names of the clusters in it.
    pub clusters: Vec<String>,
    /// Names of the repositories in it.
    pub repositories: Vec<String>,
    /// Everything that is wrong in it, and in the cluster files that it names.
    pub mistakes: Vec<Mistake>,
}

/// Lists every mistake in a configuration file, and in the cluster files that it names: keys, types, values, and files that are
/// not there.
pub fn mistakes(path: &Path) -> Result<Checked> {
    let text = text_of(path)?;
    let mut examination = Examination::of(path, &text, &keys::CONFIGURATION);
    let mut checked = Checked {
        file: path.to_owned(),
        clusters: Vec::new(),
        repositories: Vec::new(),
        mistakes: Vec::new(),
    };
    let mut others = Vec::new();
    if let Some(document) = parsed(&text, &mut examination) {
        relations(&document, &mut examination);
        for (name, table) in &document.cluster {
            if let Some(file) = &table.file {
                others.extend(of_cluster_file(path, file, name, &mut examination));
            }
        }
        checked.clusters = document.cluster.into_keys().collect();
        checked.repositories = document.repository.into_keys().collect();
    }
    look_for_files(path, &mut examination);
    checked.mistakes = examination.mistakes;
    checked.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    checked.mistakes.extend(others);
    Ok(checked)
}

/// Reads a configuration file without looking for the files that it names.
pub(crate) fn document(path: &Path) -> Result<Document> {
    let text = text_of(path)?;
    let mut examination = Examination::of(path, &text, &keys::CONFIGURATION);
    let document = parsed(&text, &mut examination);
    if let Some(document) = &document {
        relations(document, &mut examination);
    }
    match (examination.mistakes.as_slice(), document) {
        ([], Some(document)) => Ok(document),
        ([], None) => Err(Failure::bug("a configuration without mistakes cannot be read")),
        ([first, rest @ ..], _) => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            Err(Failure::refused(
                Code::new("CC-M01"),
                format!("cannot use the configuration: {first}{more}"),
                format!(
                    "Correct the file. `couchcopy config check --config {}` lists all mistakes.",
                    path.display()
                ),
            ))
        }
    }
}

/// The nodes of a cluster in this configuration file, and how its own file says that stores are reached.
pub(crate) fn nodes(
    path: &Path,
    name: &str,
    table: &ClusterTable,
) -> Result<(ClusterFile, Option<Settings>)> {
    if let Some(file) = &table.file {
        let file = folder_of(path).join(file);
        let nodes = ClusterFile::read(&file)?.relative_to(&folder_of(&file));
        let text = text_of(&file)?;
        // The file was read a moment ago, and the table may be of another version of couchcopy.
        let store = toml::from_str::<WithStore>(&text).map_err(|error| {
            Failure::refused(
                Code::new("CC-M02"),
                format!("{}: cannot use the table [store]: {}", file.display(), error.message()),
                "docs/stores.md lists the keys of [store].",
            )
        })?;
        return Ok((nodes, store.store));
    }
    let nodes = of_tables(table).map_err(|problem| {
        Failure::refused(
            Code::new("CC-M08"),
            format!("{}: cluster.{name}: {problem}", path.display()),
            "Correct the file. `couchcopy config check` lists all mistakes.",
        )
    })?;
    Ok((nodes.relative_to(&folder_of(path)), None))
}

/// The directory that a file is in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

#[derive(Deserialize)]
struct WithStore {
    store: Option<Settings>,
}

fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, error))
}

fn parsed(text: &str, examination: &mut Examination<'_>) -> Option<Document> {
    if !examination.mistakes.is_empty() {
        return None;
    }
    toml::from_str(text)
        .map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            examination.add(at, "", error.message());
        })
        .ok()
}

/// The nodes that stand in the configuration file itself.
fn of_tables(table: &ClusterTable) -> Result<ClusterFile, String> {
    let mut file = toml::Table::new();
    file.insert("defaults".into(), table.defaults.clone().into());
    let nodes = table.node.iter().map(|node| toml::Value::Table(node.clone()));
    file.insert("node".into(), toml::Value::Array(nodes.collect()));
    ClusterFile::of_table(file)
}

/// What no single value shows.
fn relations(document: &Document, examination: &mut Examination<'_>) {
    let known = || document.repository.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    for (name, cluster) in &document.cluster {
        let table = format!("cluster.{name}");
        let has_nodes = !cluster.node.is_empty() || !cluster.defaults.is_empty();
        let problem = match (&cluster.file, has_nodes) {
            (Some(_), true) => {
                Some("`file` stands next to `node` or `defaults`: use only one of them".to_owned())
            }
            (None, false) => Some(format!("no nodes: add [[{table}.node]], or `file`")),
            (None, true) => of_tables(cluster).err(),
            (Some(_), false) => None,
        };
        let choice = match &cluster.repository {
            Some(wanted) if !document.repository.contains_key(wanted) => {
                Some(format!("repository: no repository is called {wanted}; known are: {}", known()))
            }
            None if document.repository.len() > 1 => {
                Some(format!("there are several repositories: add `repository` with one of {}", known()))
            }
            _ => None,
        };
        for problem in problem.into_iter().chain(choice) {
            examination.add_to_table(&table, problem);
        }
        if cluster.only.iter().chain(&cluster.except).any(String::is_empty) {
            examination.add_to_table(&table, "only, except: an empty pattern matches no database");
        }
        if !cluster.config_dir.is_empty() && !cluster.with_config {
            examination.add_to_table(&table, "config_dir has no effect without with_config = true");
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for (name, repository) in &document.repository {
        let location = repository.location.trim_end_matches('/');
        if seen.contains(&location) {
            let problem = format!("another repository has the location {location}, too");
            examination.add_to_table(&format!("repository.{name}"), problem);
        }
        seen.push(location);
    }
}

/// The mistakes of a cluster file that the configuration names.
fn of_cluster_file(path: &Path, file: &Path, name: &str, examination: &mut Examination<'_>) -> Vec<Mistake> {
    let file = folder_of(path).join(file);
    // If it is not there, this is reported where it is named.
    let Ok(text) = std::fs::read_to_string(&file) else { return Vec::new() };
    let mut of_file = Examination::of(&file, &text, &keys::CLUSTER_FILE);
    look_for_files(&file, &mut of_file);
    if of_file.mistakes.is_empty()
        && let Err(problem) = ClusterFile::read(&file)
    {
        examination.add_to_table(&format!("cluster.{name}"), problem.to_string());
    }
    of_file.mistakes
}

/// Adds the files that are named and not there.
fn look_for_files(path: &Path, examination: &mut Examination<'_>) {
    let base = folder_of(path);
    for named in std::mem::take(&mut examination.files) {
        let file = base.join(&named.path);
        let problem = match std::fs::metadata(&file) {
            Err(error) => format!("cannot find {}: {error}", file.display()),
            Ok(facts) if facts.is_dir() => format!("{} is a directory", file.display()),
            Ok(facts) if named.is_program && !is_executable(&facts) => {
                format!("{} is not executable", file.display())
            }
            Ok(_) => continue,
        };
        examination.add(named.at, &named.key, problem);
    }
}

fn is_executable(facts: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o111 != 0
}

#[cfg(test)]
mod tests;
