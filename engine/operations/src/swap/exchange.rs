//! The steps on one node. Each one may be taken again after it was cut in two.

use node::Node;

use super::journal::{Journal, Phase};
use super::{NodeState, Places, UNDONE, look, names};
use crate::error::{OperationError, Result};

impl Places {
    /// Makes the folder and writes the first journal.
    ///
    /// Fails where a restore has left anything.
    pub(crate) fn begin(&self, node: &Node, journal: &Journal) -> Result<()> {
        node.files.create_folder(&self.folder)?;
        self.write(node, journal)?;
        for folder in [&self.new, &self.old, &self.undone] {
            node.files.create_folder(folder)?;
        }
        Ok(())
    }

    fn write(&self, node: &Node, journal: &Journal) -> Result<()> {
        Ok(node.files.write(&self.journal, &journal.to_bytes())?)
    }

    /// Everything new is there and durable.
    pub(crate) fn staged(&self, node: &Node, journal: &mut Journal) -> Result<()> {
        node.files.sync(&self.data)?;
        journal.new = names(node.files.list(&self.new)?);
        journal.phase = Phase::Staged;
        self.write(node, journal)?;
        Ok(node.files.sync(&self.data)?)
    }

    /// Writes down what is to change places. CouchDB may still run.
    pub(crate) fn decide(&self, node: &Node, journal: &mut Journal) -> Result<()> {
        journal.old = names(node.files.list(&self.data)?);
        journal.phase = Phase::Swapping;
        self.write(node, journal)?;
        // Before anything moves: what has moved cannot be told from what has not without it.
        Ok(node.files.sync(&self.data)?)
    }

    /// Exchanges old and new data where nothing has been moved yet and CouchDB has been stopped. Little is asked, for this is the
    /// time in which CouchDB is down.
    pub(crate) fn exchange(&self, node: &Node, journal: &mut Journal) -> Result<()> {
        let in_place = names(node.files.list(&self.data)?);
        if in_place != journal.old {
            // Made or removed since that was written: by a compaction of the shard maps, say.
            self.decide(node, journal)?;
        }
        let paths = |folder: &std::path::Path, names: &mut dyn Iterator<Item = &String>| -> Vec<_> {
            names.map(|name| folder.join(name)).collect()
        };
        node.files.move_into(&paths(&self.data, &mut in_place.iter()), &self.old)?;
        Ok(node.files.move_into(&paths(&self.new, &mut journal.new.iter().rev()), &self.data)?)
    }

    /// Moves the old data aside and the new data into place, what of it is not there yet.
    pub(crate) fn forward(&self, node: &Node) -> Result<()> {
        let state = look(node)?;
        let journal = decided(node, &state)?;
        let is_old = |name: &&String| journal.old.contains(name) && !state.in_old.contains(name);
        let aside: Vec<_> = state.in_place.iter().filter(is_old).map(|name| self.data.join(name)).collect();
        // What CouchDB made, should somebody have started it on half of its data: it is no part of the new data, even where
        // that has nothing of this name.
        let is_new = |name: &String| journal.new.contains(name) && !state.in_new.contains(name);
        let in_the_way: Vec<_> = state
            .in_place
            .iter()
            .filter(|name| !is_old(name) && !is_new(name))
            .map(|name| self.data.join(name))
            .collect();
        node.files.move_into(&in_the_way, &self.fresh_undone(node, !in_the_way.is_empty())?)?;
        node.files.move_into(&aside, &self.old)?;
        let into_place: Vec<_> = state.in_new.iter().rev().map(|name| self.new.join(name)).collect();
        Ok(node.files.move_into(&into_place, &self.data)?)
    }

    /// Moves the new data aside and the old data back, what of it is not there yet.
    pub(crate) fn backward(&self, node: &Node) -> Result<()> {
        let state = look(node)?;
        let Some(journal) = &state.journal else { return no_journal(node, &state) };
        let is_new = |name: &&String| state.in_old.contains(name) || !journal.old.contains(name);
        let (to_new, to_undone): (Vec<&String>, Vec<&String>) = state
            .in_place
            .iter()
            .filter(is_new)
            .partition(|name| journal.new.contains(name) && !state.in_new.contains(name));
        let paths = |names: Vec<&String>| names.iter().map(|name| self.data.join(name)).collect::<Vec<_>>();
        node.files.move_into(&paths(to_undone.clone()), &self.fresh_undone(node, !to_undone.is_empty())?)?;
        node.files.move_into(&paths(to_new), &self.new)?;
        let back: Vec<_> = state.in_old.iter().rev().map(|name| self.old.join(name)).collect();
        Ok(node.files.move_into(&back, &self.data)?)
    }

    /// A folder below `undone` that holds nothing yet; it is made only where it is needed.
    fn fresh_undone(&self, node: &Node, needed: bool) -> Result<std::path::PathBuf> {
        if !needed {
            return Ok(self.undone.clone());
        }
        let there = node.files.list(&self.undone)?.unwrap_or_default();
        let free =
            (1..u32::MAX).map(|i| i.to_string()).find(|name| there.iter().all(|entry| entry.name != *name));
        let folder = self.undone.join(free.unwrap_or_else(|| UNDONE.into()));
        node.files.create_folder(&folder)?;
        Ok(folder)
    }

    /// Takes back that the new data was found good: from now on the folders tell again where the old data is.
    pub(crate) fn reopened(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Swapping)
    }

    /// Writes down that the old data is to be removed. It cannot be brought back then.
    pub(crate) fn removing(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Removing)
    }

    /// Writes down that the new data is good.
    pub(crate) fn done(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Done)
    }

    /// Writes down that the old data is back. From now on what is left is good for nothing.
    pub(crate) fn undone(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Undone)
    }

    fn set_phase(&self, node: &Node, phase: Phase) -> Result<()> {
        let Some(mut journal) = self.journal(node)? else { return Ok(()) };
        if journal.phase == phase {
            return Ok(());
        }
        journal.phase = phase;
        self.write(node, &journal)?;
        Ok(node.files.sync(&self.data)?)
    }

    /// Removes everything but what is in place. The journal goes last.
    pub(crate) fn remove(&self, node: &Node) -> Result<()> {
        let state = look(node)?;
        match state.journal.as_ref().map(|journal| journal.phase) {
            Some(Phase::Done) => self.removing(node)?,
            // What is being copied is good for nothing until it is whole; and on a full disk nothing can be written.
            Some(Phase::Removing | Phase::Undone | Phase::Staging) => {}
            Some(Phase::Staged) => self.set_phase(node, Phase::Undone)?,
            Some(Phase::Swapping) => {
                return Err(OperationError::Bug(format!(
                    "what is beside the data of {} was to be removed in the middle of a swap",
                    node.shown()
                )));
            }
            None if state.in_old.is_empty() => {}
            None => return no_journal(node, &state),
        }
        node.files.remove(&[self.new.clone(), self.undone.clone(), self.old.clone()])?;
        Ok(node.files.remove(std::slice::from_ref(&self.folder))?)
    }
}

fn decided<'s>(node: &Node, state: &'s NodeState) -> Result<&'s Journal> {
    state.journal.as_ref().filter(|journal| journal.phase == Phase::Swapping).ok_or_else(|| {
        OperationError::Bug(format!("the data of {} was to be swapped before that was decided", node.shown()))
    })
}

/// Refuses to do anything where old data lies about and nothing tells why.
pub(crate) fn check_journal(node: &Node, state: &NodeState) -> Result<()> {
    if state.journal.is_none() && !state.in_old.is_empty() {
        return no_journal(node, state);
    }
    Ok(())
}

fn no_journal<T>(node: &Node, state: &NodeState) -> Result<T> {
    Err(OperationError::refused(
        format!(
            "the journal of a restore is missing on {}, though old data ({}) lies in {}",
            node.shown(),
            state.in_old.join(", "),
            Places::of(node).old.display()
        ),
        "Somebody has removed it. Look at the folder, and move its content back into the data folder by hand if it \
         belongs there.",
    ))
}
