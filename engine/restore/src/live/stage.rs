//! Copies the new data next to the old data, on all nodes at once, while CouchDB runs.

use std::path::Path;
use std::time::Instant;

use cluster::on_all;
use node::{FileEntry, FileKind, Modes, Node, Owner};
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result};

use super::{MapsBy, PlannedRestore};
use crate::folders::destination::Destination;
use crate::folders::proof::Damage;
use crate::folders::staging::Staging;
use crate::folders::visitor::WrittenFiles;
use crate::folders::write;
use crate::swap::{self, Journal, Places, Situation};

/// The result of staging.
pub(super) enum Staged {
    /// Everything is copied and checked; the current journals.
    Proven(WrittenFiles, Vec<Journal>),
    /// Damage was found in the archive. The copied data has to be removed.
    Damaged(Damage),
}

/// Stages everything and checks it.
pub(super) fn stage(
    planned: &PlannedRestore,
    nodes: &[Node],
    mut journals: Vec<Journal>,
    steps: &Steps<'_>,
    reporter: &dyn Reporter,
) -> Result<Staged> {
    let destinations = on_all(nodes, |i, node| {
        let places = Places::of(node);
        // What an earlier restore could not remove in the end is good for nothing.
        if matches!(swap::look(node)?.situation, Situation::Undone | Situation::Leftover) {
            places.remove(node)?;
        }
        places.begin(node, &journals[i])?;
        steps.done("begun", node);
        destination(node, &places.new)
    })?;
    let maps = planned.options.maps == MapsBy::File;
    let written = write(&planned.contents, &planned.plan, &planned.restore, &destinations, maps, reporter)?;
    let written = match written {
        Ok(written) => written,
        Err(damage) => return Ok(Staged::Damaged(damage)),
    };
    reporter.phase("making the data durable", None);
    let begun = Instant::now();
    let staged = on_all(nodes, |i, node| {
        let sent = destinations[i].finish()?;
        steps.done("copied", node);
        if node.files.streams().is_some() {
            check_sent(node, &Places::of(node), sent)?;
        }
        let mut journal = journals[i].clone();
        Places::of(node).staged(node, &mut journal)?;
        steps.done("staged", node);
        Ok(journal)
    })?;
    reporter.timing("data durable", begun.elapsed().as_secs_f64());
    journals.clone_from(&staged);
    Ok(Staged::Proven(written, journals))
}

/// The destination of files below a directory of a node. They get the owner and the group permissions of its data.
pub(crate) fn destination(node: &Node, folder: &Path) -> Result<Destination> {
    let Some(streams) = node.files.streams() else {
        return Staging::within(folder, &node.data).map(Destination::Folder);
    };
    let entries = node.files.list(&node.data)?.unwrap_or_default();
    let of = |name: &str| entries.iter().find(|entry| entry.name == name);
    let above =
        node.data.parent().map_or_else(|| Ok(None), |above| node.files.list(above))?.unwrap_or_default();
    let data = above.iter().find(|entry| {
        entry.kind == FileKind::Folder
            && node.data.file_name().is_some_and(|name| name.to_str() == Some(&entry.name))
    });
    let mode = [data, of("shards")].into_iter().flatten().fold(0, |mode, folder| mode | folder.mode);
    let owner = |like: &FileEntry| Owner { uid: like.uid, gid: like.gid, modes: Modes::within(mode) };
    Ok(Destination::stream(streams.unpack(folder, of("_dbs.couch").or(data).map(owner))?))
}

/// Compares what arrived with what was sent.
pub(crate) fn check_sent(node: &Node, places: &Places, sent: (u64, u64)) -> Result<()> {
    let arrived = node.files.sum(&places.new)?;
    if arrived == sent {
        return Ok(());
    }
    Err(Failure::incomplete(
        Code::new("CC-R35"),
        format!(
            "{} unpacked {} files of {} bytes, but {} files of {} bytes were sent",
            node.shown(),
            arrived.0,
            arrived.1,
            sent.0,
            sent.1
        ),
        "Check that node's file system, and try again.",
    ))
}
