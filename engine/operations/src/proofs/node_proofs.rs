//! What is looked at on one node.

use std::path::{Path, PathBuf};

use node::{FileKind, Node, NodeError};
use plugin_host::State;

use super::{Learned, Proof, Proofs, stopped_way};
use crate::restore::{OLDEST_TARGET, only_md5};
use crate::swap::{self, Situation};

/// A folder that is made and removed again, to see who may.
const TRIAL: &str = ".couchcopy-check";

/// Looks at everything of one node.
pub(super) fn prove(node: &Node) -> (Vec<Proof>, Learned) {
    let mut proofs = Proofs::default();
    let mut learned = Learned::default();
    if let Err(e) = of_http(node, &mut proofs, &mut learned) {
        proofs.problem(node, "http", told(&e), e.remedy());
    }
    of_service(node, &mut proofs);
    if let Err(e) = of_files(node, &mut proofs, &mut learned) {
        proofs.problem(node, "files", told(&e), e.remedy());
    }
    stopped_way::prove(node, &mut proofs);
    (proofs.proofs, learned)
}

/// An error with its cause.
pub(super) fn told(error: &NodeError) -> String {
    match std::error::Error::source(error) {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

fn of_http(node: &Node, proofs: &mut Proofs, learned: &mut Learned) -> Result<(), NodeError> {
    let before = jiff::Timestamp::now();
    let answer = node.http.ask(node::Method::GET, "/", None)?;
    learned.clock = answer.date.as_deref().and_then(|date| {
        let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        Some(theirs.as_millisecond() - before.as_millisecond())
    });
    if !node.http.has_credentials() {
        proofs.problem(
            node,
            "http",
            "nobody has told name and password of a server admin",
            "Write user:password@ in front of the host, or use --password-file or COUCHCOPY_PASSWORD.",
        );
        return Ok(());
    }
    let version = node.http.version()?;
    if !version.at_least(OLDEST_TARGET.0, OLDEST_TARGET.1) {
        proofs.problem(
            node,
            "version",
            format!("it runs CouchDB {version}"),
            "Restore to CouchDB 3.1 or newer. Data of older versions can be saved all the same.",
        );
    } else if only_md5([&version]).is_some() {
        proofs.fine(
            node,
            "http",
            format!(
                "CouchDB {version} answers at {}; a restore replaces checksums that it does not read (xxHash) by MD5",
                node.http.url()
            ),
        );
    } else {
        proofs.fine(node, "http", format!("CouchDB {version} answers at {}", node.http.url()));
    }
    learned.version = Some(version);
    if !node.http.is_up()? {
        proofs.warning(
            node,
            "http",
            "it is in maintenance mode, or still being seeded",
            "See /_up of the node.",
        );
    }
    let name = node.http.node_name()?;
    match &node.id.name {
        Some(given) if *given != name => proofs.problem(
            node,
            "name",
            format!("the node at {} is {name}, not {given}", node.http.url()),
            "Give the name that the node has, or leave it out.",
        ),
        _ => proofs.fine(node, "name", name.clone()),
    }
    learned.name = Some(name);
    learned.membership = Some(node.http.membership()?);
    learned.databases = node.http.get("/_node/_local/_dbs")?["doc_count"].as_u64();
    for key in ["database_dir", "view_index_dir"] {
        let Some(configured) = node.http.config("couchdb", key)? else { continue };
        let configured = PathBuf::from(configured);
        if configured.is_absolute() && !same(node, &configured) {
            proofs.problem(
                node,
                "data folder",
                format!("its {key} is {}, not {}", configured.display(), node.data.display()),
                if key == "database_dir" {
                    "Give that folder, as couchcopy sees it on the node. Inside a container it may have another name: then \
                     reach into the container with --via."
                } else {
                    "couchcopy needs view indexes in the same folder as databases: set [couchdb] view_index_dir to \
                     database_dir and restart the node; CouchDB builds them anew."
                },
            );
        }
    }
    Ok(())
}

/// Whether two paths are the same folder, as far as that can be told from here.
fn same(node: &Node, configured: &Path) -> bool {
    let plain = |path: &Path| path.components().collect::<PathBuf>();
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| plain(path));
    plain(configured) == plain(&node.data)
        || (node.files.streams().is_none() && real(configured) == real(&node.data))
}

fn of_service(node: &Node, proofs: &mut Proofs) {
    let plugin = node.service.shown();
    match node.service.status() {
        Ok(State::Running) => proofs.fine(node, "service", format!("running ({plugin})")),
        Ok(State::Stopped) => proofs.problem(
            node,
            "service",
            format!("{plugin} says that it is stopped"),
            "Start it, name the plugin and settings that control it (--service), or restore with --offline.",
        ),
        Ok(State::Unknown) => proofs.warning(
            node,
            "service",
            format!("{plugin} cannot say whether it runs"),
            "See to it that it can stop and start CouchDB: `couchcopy service stop` and `start`.",
        ),
        Err(e) => proofs.problem(node, "service", told(&e), e.remedy()),
    }
}

fn of_files(node: &Node, proofs: &mut Proofs, learned: &mut Learned) -> Result<(), NodeError> {
    let Some(entries) = node.files.list(&node.data)? else {
        proofs.problem(
            node,
            "data folder",
            format!("there is no folder {}", node.data.display()),
            "Give the folder that `[couchdb] database_dir` names.",
        );
        return Ok(());
    };
    let Some(maps) = entries.iter().find(|entry| entry.name == "_dbs.couch") else {
        proofs.problem(
            node,
            "data folder",
            format!(
                "{} is not the data folder of a node that has run: it has no _dbs.couch",
                node.data.display()
            ),
            "Give the folder that `[couchdb] database_dir` names.",
        );
        return Ok(());
    };
    for entry in &entries {
        let moved = matches!(entry.name.as_str(), "shards" | ".shards" | swap::FOLDER);
        if moved && (entry.kind != FileKind::Folder || entry.device != maps.device) {
            proofs.problem(
                node,
                "data folder",
                format!("{} is a link or another file system", node.data.join(&entry.name).display()),
                "Data is exchanged by renaming, which works within one file system only: move it there.",
            );
        }
    }
    let trial = node.data.join(TRIAL);
    if entries.iter().any(|entry| entry.name == TRIAL) {
        node.files.remove(std::slice::from_ref(&trial))?;
    }
    let listed = node.files.create_folder(&trial).and_then(|()| node.files.list(&node.data));
    // Whatever failed: a command whose answer was lost may have been carried out.
    node.files.remove(std::slice::from_ref(&trial)).or_else(|_| node.files.remove(&[trial]))?;
    let made = listed?.unwrap_or_default().into_iter().find(|entry| entry.name == TRIAL);
    match made {
        Some(made) if made.uid != maps.uid && made.uid != 0 => proofs.problem(
            node,
            "permissions",
            format!("files belong to user {}, and couchcopy works there as user {}", maps.uid, made.uid),
            "Run it as the user that owns CouchDB's data, or as root (--use-sudo).",
        ),
        Some(_) => proofs.fine(node, "permissions", format!("{} can be changed", node.data.display())),
        None => {}
    }
    let free = node.files.free_bytes(&node.data)?;
    proofs.fine(node, "room", format!("{} MiB free", free >> 20));
    learned.free = Some(free);
    match swap::look(node) {
        Ok(state) => match state.situation {
            Situation::Untouched | Situation::Undone | Situation::Leftover => {}
            Situation::Done | Situation::Removing => proofs.problem(
                node,
                "earlier restore",
                "the data that an earlier restore replaced is still there",
                "Remove it with `couchcopy clean`, or put it back with `couchcopy restore --roll-back`.",
            ),
            _ => proofs.problem(
                node,
                "earlier restore",
                "an earlier restore is unfinished",
                "Finish it with `couchcopy restore --resume`, or undo it with `couchcopy restore --roll-back`.",
            ),
        },
        Err(e) => proofs.problem(node, "earlier restore", e.to_string(), e.remedy().unwrap_or_default()),
    }
    Ok(())
}
