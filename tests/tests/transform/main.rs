//! Restores whose documents pass through a plugin.

mod folders;
mod hostile;
mod live;
mod traces;

use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use serde_json::{Value, json};

/// What CouchDB keeps of a password.
const PASSWORD: [&str; 7] =
    ["password", "password_scheme", "password_sha", "pbkdf2_prf", "salt", "iterations", "derived_key"];
/// Members that stay, whatever the settings say.
const OF_USER: [&str; 3] = ["name", "roles", "type"];

/// Writes a file with settings of the plugin `anonymise`; gives its path.
fn settings(folder: &Path, more: &str) -> Result<PathBuf> {
    let path = folder.join("anonymise.toml");
    std::fs::write(&path, format!("key = \"a key for tests only\"\n{more}\n"))?;
    Ok(path)
}

/// What is expected of databases after `change` has been made to the body of every leaf that passes through the plugin. Of the
/// documents of `_replicator` and of passwords nothing is left.
fn transformed(mut expected: Value, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Value {
    for (name, database) in expected.as_object_mut().into_iter().flatten() {
        let (mut documents, mut deleted) = (0, 0);
        let Some(docs) = database["docs"].as_object_mut() else { continue };
        docs.retain(|id, leaves| {
            let is_design = id.starts_with("_design/");
            if name == "_replicator" && !is_design {
                return false;
            }
            let leaves = leaves.as_array_mut().into_iter().flatten();
            let mut is_deleted = true;
            for leaf in leaves.filter_map(Value::as_object_mut) {
                is_deleted &= leaf.get("_deleted").is_some();
                if is_design {
                    continue;
                }
                if id.starts_with("org.couchdb.user:") {
                    leaf.retain(|member, _| !PASSWORD.contains(&member.as_str()));
                    let kept: Vec<(String, Value)> = OF_USER
                        .iter()
                        .filter_map(|member| Some(((*member).to_owned(), leaf.get(*member)?.clone())))
                        .collect();
                    change(leaf);
                    leaf.extend(kept);
                } else {
                    change(leaf);
                }
            }
            *(if is_deleted { &mut deleted } else { &mut documents }) += 1;
            true
        });
        database["doc_count"] = json!(documents);
        database["doc_del_count"] = json!(deleted);
        database["local"] = json!([]);
    }
    expected
}
