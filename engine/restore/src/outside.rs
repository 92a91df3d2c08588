//! Indexes of a node outside its data directory: view indexes if `view_index_dir` names another directory, and the search indexes
//! of nouveau and clouseau. A restore does not change them.

use std::path::{Component, Path, PathBuf};

use node::{Method, Node, NodeError, encode};
use serde::Serialize;

/// Where the view indexes of a node are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Views {
    /// In the data directory.
    #[default]
    Inside,
    /// In this directory.
    Elsewhere(PathBuf),
    /// In a directory relative to the one that CouchDB was started in, which is not known.
    Unknown(PathBuf),
}

/// The indexes outside a node's data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    pub(crate) views: Views,
    /// The address of nouveau's server, if nouveau is enabled.
    nouveau: Option<String>,
    /// Whether clouseau is connected.
    clouseau: bool,
}

/// Indexes of replaced databases that a restore leaves behind on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// The node.
    pub node: String,
    /// The kind of the indexes.
    pub what: &'static str,
    /// The place of the indexes.
    pub place: String,
    /// How to remove the indexes.
    pub remove: String,
}

/// nouveau's own default.
const NOUVEAU: &str = "http://127.0.0.1:5987";
/// Ten digits as a pattern of `find -name`.
const TEN_DIGITS: &str = "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]";

/// Queries a node.
pub(crate) fn look(node: &Node) -> Result<Outside, NodeError> {
    let features = node.http.ask(Method::GET, "/", None)?.body["features"].clone();
    let has = |name: &str| features.as_array().into_iter().flatten().any(|feature| feature == name);
    let enabled = node.http.config("nouveau", "enable")?.is_some_and(|value| value == "true");
    let nouveau = if enabled || has("nouveau") {
        Some(node.http.config("nouveau", "url")?.unwrap_or_else(|| NOUVEAU.into()))
    } else {
        None
    };
    let folder = |key: &str| node.http.config("couchdb", key);
    let views = match folder("view_index_dir")? {
        Some(views) => {
            let databases = folder("database_dir")?.unwrap_or_default();
            match views_of(Path::new(&views), Path::new(&databases), &node.data) {
                Views::Elsewhere(folder) if is_same(node, &folder) => Views::Inside,
                found => found,
            }
        }
        None => Views::Inside,
    };
    Ok(Outside { views, nouveau, clouseau: has("search") })
}

/// Whether a directory of a node is its data directory, as far as that is visible from this machine.
pub(crate) fn is_same(node: &Node, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| plain(path));
    plain(folder) == plain(&node.data) || (node.files.streams().is_none() && real(folder) == real(&node.data))
}

/// A path without `.` and double slashes.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Where view indexes are, from the configured paths for views and databases and the path of the data directory. A relative path
/// is relative to the directory that CouchDB was started in.
fn views_of(views: &Path, databases: &Path, data: &Path) -> Views {
    let (views, databases, data) = (plain(views), plain(databases), plain(data));
    if views.is_absolute() {
        return if views == data { Views::Inside } else { Views::Elsewhere(views) };
    }
    if views == databases {
        return Views::Inside;
    }
    if databases.is_relative() && data.ends_with(&databases) {
        let depth = databases.components().count();
        if let Some(start) = data.ancestors().nth(depth) {
            return Views::Elsewhere(start.join(views));
        }
    }
    Views::Unknown(views)
}

impl Outside {
    /// The indexes that stay behind when databases get a new suffix, and how to remove them.
    pub(crate) fn left_behind(&self, node: &str, suffix: &str) -> Vec<LeftBehind> {
        let mut left = Vec::new();
        let mut add = |what, place: String, remove| {
            left.push(LeftBehind { node: node.to_owned(), what, place, remove });
        };
        let views = match &self.views {
            Views::Inside => None,
            Views::Elsewhere(folder) => Some((folder.join(".shards").display().to_string(), String::new())),
            Views::Unknown(folder) => Some((
                folder.join(".shards").display().to_string(),
                " in the directory that CouchDB is started in, often /opt/couchdb".to_owned(),
            )),
        };
        if let Some((folder, where_to_run)) = views {
            let quoted = format!("'{}'", folder.replace('\'', "'\\''"));
            let remove = format!(
                "Run on the node{where_to_run}: find {quoted} -type d -name '*.{TEN_DIGITS}_design' ! -name \
                 '*{suffix}_design' -prune -exec rm -rf {{}} +"
            );
            add("view indexes", format!("{folder}{where_to_run}"), remove);
        }
        if let Some(url) = &self.nouveau {
            let url = url.trim_end_matches('/');
            let remove = format!(
                "Run this before anybody searches the restored databases, or let their new indexes be rebuilt: curl -X DELETE \
                 -H 'Content-Type: application/json' -d '[]' '{url}/index/{}%2Fshards'",
                encode(node)
            );
            add("search indexes of nouveau", url.to_owned(), remove);
        }
        if self.clouseau {
            let remove = format!(
                "Below `shards` in the directory that `[clouseau] dir` names, remove the directories whose names do not end in \
                 {suffix}. POST /DB/_search_cleanup does not remove them."
            );
            add("search indexes of clouseau", "the directory that `[clouseau] dir` names".into(), remove);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(views: &str, databases: &str, data: &str) -> Views {
        views_of(Path::new(views), Path::new(databases), Path::new(data))
    }

    #[test]
    fn relative_folders_are_relative_to_where_couchdb_starts() {
        let elsewhere = |folder: &str| Views::Elsewhere(folder.into());
        assert_eq!(views("/srv/data", "/srv/data", "/srv/data/"), Views::Inside);
        assert_eq!(views("/srv/index", "/srv/data", "/srv/data"), elsewhere("/srv/index"));
        assert_eq!(views("./data", "./data", "/opt/couchdb/data"), Views::Inside);
        assert_eq!(views("data", "./data", "/opt/couchdb/data"), Views::Inside);
        assert_eq!(views("./index", "./data", "/opt/couchdb/data"), elsewhere("/opt/couchdb/index"));
        assert_eq!(views("./index", "/srv/data", "/srv/data"), Views::Unknown("index".into()));
        assert_eq!(views("./index", "./data", "/mnt/elsewhere"), Views::Unknown("index".into()));
        assert_eq!(views("./data", "/opt/couchdb/data", "/opt/couchdb/data"), Views::Unknown("data".into()));
    }

    #[test]
    fn only_folders_of_other_suffixes_are_to_be_removed() {
        let outside = Outside {
            views: Views::Elsewhere("/srv/it's".into()),
            nouveau: Some("http://127.0.0.1:5987/".into()),
            clouseau: true,
        };
        let left = outside.left_behind("couchdb@a.example.com", ".1795000000");
        assert_eq!(left.len(), 3);
        assert!(left[0].remove.contains(r"find '/srv/it'\''s/.shards' -type d"), "{}", left[0].remove);
        assert!(left[0].remove.contains("! -name '*.1795000000_design'"), "{}", left[0].remove);
        assert!(left[1].remove.ends_with("'http://127.0.0.1:5987/index/couchdb%40a.example.com%2Fshards'"));
        assert_eq!(Outside::default().left_behind("a@b", ".1"), []);
    }
}
