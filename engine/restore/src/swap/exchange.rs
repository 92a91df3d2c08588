//! The steps of a swap on one node. Each step can be repeated after an interruption.

use node::{FileEntry, FileKind, Node};
use outcome::{Code, Failure, Result};

use super::journal::{Journal, Phase};
use super::{NodeState, Places, Situation, UNDONE, look, lost, no_folder, old};

impl Places {
    /// Creates the directory and writes the first journal.
    ///
    /// Fails if there are leftovers of a restore.
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

    /// Records that all new data is copied and durable.
    pub(crate) fn staged(&self, node: &Node, journal: &mut Journal) -> Result<()> {
        node.files.sync(&self.data)?;
        journal.new = journal.names(node.files.list(&self.new)?);
        journal.phase = Phase::Staged;
        self.write(node, journal)?;
        Ok(node.files.sync(&self.data)?)
    }

    /// Records what will be swapped. CouchDB may still run.
    pub(crate) fn decide(&self, node: &Node, journal: &mut Journal) -> Result<()> {
        let found = node.files.list(&self.data)?.ok_or_else(|| no_folder(node))?;
        journal.old = journal.names(Some(found));
        journal.old_data.clear();
        journal.phase = Phase::Swapping;
        self.write(node, journal)?;
        // Before anything moves: what has moved cannot be told from what has not without it.
        Ok(node.files.sync(&self.data)?)
    }

    /// Swaps old and new data if nothing has been moved yet and CouchDB has been stopped. It runs few commands, because CouchDB
    /// is down during this time.
    ///
    /// Fails before anything is moved if old data is missing, and afterwards if not everything is where it should be.
    pub(crate) fn exchange(&self, node: &Node, journal: &mut Journal) -> Result<()> {
        let mut found =
            node.files.list_all(&[&self.data, &self.new])?.into_iter().map(Option::unwrap_or_default);
        let (old, new) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
        let in_place = journal.names(Some(old.clone()));
        if let Some(lost) = lost(&journal.old, &in_place) {
            return Err(Failure::incomplete(
                Code::new("CC-R47"),
                format!(
                    "{} of {} does not exist any more after CouchDB was stopped; nothing has been moved",
                    self.data.join(lost).display(),
                    node.shown()
                ),
                "Check that directory and the access chain to the node: the old data must not be lost.",
            ));
        }
        if let Some(missing) = lost(&journal.new, &journal.names(Some(new.clone()))) {
            return Err(Failure::incomplete(
                Code::new("CC-R48"),
                format!(
                    "{} of {} does not exist any more; nothing has been moved",
                    self.new.join(missing).display(),
                    node.shown()
                ),
                "Check that directory and the access chain to the node, and restore again.",
            ));
        }
        // Made or removed since that was written: by a compaction of the shard maps, say.
        let changed = in_place != journal.old;
        journal.old = in_place;
        journal.old_data = old::look_at(node, &self.data, &old, journal.change())?;
        journal.phase = Phase::Swapping;
        self.write(node, journal)?;
        if changed {
            node.files.sync(&self.data)?;
        }
        let paths = |folder: &std::path::Path, names: &mut dyn Iterator<Item = &String>| -> Vec<_> {
            names.map(|name| folder.join(name)).collect()
        };
        node.files.move_into(&paths(&self.data, &mut journal.old.iter()), &self.old)?;
        node.files.move_into(&paths(&self.new, &mut journal.new.iter().rev()), &self.data)?;
        self.check_exchanged(node, journal, &new)
    }

    /// Fails unless the complete new data is in place and the complete old data is in its directory.
    fn check_exchanged(&self, node: &Node, journal: &Journal, new: &[FileEntry]) -> Result<()> {
        let mut found =
            node.files.list_all(&[&self.data, &self.old])?.into_iter().map(Option::unwrap_or_default);
        let (in_place, in_old) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
        let facts = |entries: &[FileEntry]| -> Vec<_> {
            let mut facts: Vec<_> = entries
                .iter()
                .filter(|entry| journal.change().replaces(&entry.name))
                .map(|entry| {
                    let size = if entry.kind == FileKind::File { entry.size } else { 0 };
                    (entry.name.clone(), format!("{:?}", entry.kind), size)
                })
                .collect();
            facts.sort_unstable();
            facts
        };
        let mut problems = Vec::new();
        if facts(&in_place) != facts(new) {
            problems.push(format!("the new data is not all in {}", self.data.display()));
        }
        if journal.names(Some(in_old)) != journal.old {
            problems.push(format!("the old data is not all in {}", self.old.display()));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Failure::incomplete(
            Code::new("CC-R49"),
            format!("after the swap on {}, {}", node.shown(), problems.join(" and ")),
            "Check these directories: another program changes them, or the file system has lost data.",
        ))
    }

    /// Moves the old data out and the new data into place, as far as not done yet.
    pub(crate) fn forward(&self, node: &Node) -> Result<()> {
        let state = look(node)?;
        let journal = decided(node, &state)?;
        let has_come = |name: &String| journal.new.contains(name) && !state.in_new.contains(name);
        let is_old =
            |name: &&String| journal.old.contains(name) && !state.in_old.contains(name) && !has_come(name);
        let aside: Vec<_> = state.in_place.iter().filter(is_old).map(|name| self.data.join(name)).collect();
        // What CouchDB made, should somebody have started it on half of its data: it is no part of the new data, even where
        // that has nothing of this name.
        let in_the_way: Vec<_> = state
            .in_place
            .iter()
            .filter(|name| !is_old(name) && !has_come(name))
            .map(|name| self.data.join(name))
            .collect();
        node.files.move_into(&in_the_way, &self.fresh_undone(node, !in_the_way.is_empty())?)?;
        node.files.move_into(&aside, &self.old)?;
        let into_place: Vec<_> = state.in_new.iter().rev().map(|name| self.new.join(name)).collect();
        node.files.move_into(&into_place, &self.data)?;
        let moved = look(node)?;
        if moved.situation == Situation::Swapped && moved.in_place.len() == journal.new.len() {
            return Ok(());
        }
        Err(Failure::incomplete(
            Code::new("CC-R50"),
            format!(
                "after the swap on {}, {} has {} instead of {}",
                node.shown(),
                self.data.display(),
                listed(&moved.in_place),
                listed(&journal.new)
            ),
            "Check that directory, and run `couchcopy restore --roll-back NODE…`.",
        ))
    }

    /// Moves the new data out and the old data back, as far as not done yet.
    pub(crate) fn backward(&self, node: &Node) -> Result<()> {
        let state = look(node)?;
        let Some(journal) = &state.journal else { return no_journal(node, &state) };
        // Where the old one of that name has vanished from beside the data, too.
        let has_come = |name: &String| journal.new.contains(name) && !state.in_new.contains(name);
        let is_new =
            |name: &&String| state.in_old.contains(name) || !journal.old.contains(name) || has_come(name);
        let (to_new, to_undone): (Vec<&String>, Vec<&String>) =
            state.in_place.iter().filter(is_new).partition(|name| has_come(name));
        let paths = |names: Vec<&String>| names.iter().map(|name| self.data.join(name)).collect::<Vec<_>>();
        node.files.move_into(&paths(to_undone.clone()), &self.fresh_undone(node, !to_undone.is_empty())?)?;
        node.files.move_into(&paths(to_new), &self.new)?;
        let back: Vec<_> = state.in_old.iter().rev().map(|name| self.old.join(name)).collect();
        node.files.move_into(&back, &self.data)?;
        self.check_back(node, journal)?;
        if journal.old_data.is_empty() {
            return Ok(());
        }
        // CouchDB changes it from now on.
        let mut journal = journal.clone();
        journal.old_data.clear();
        self.write(node, &journal)
    }

    /// Fails unless the old data is in place as it was before the swap, as far as that was recorded.
    fn check_back(&self, node: &Node, journal: &Journal) -> Result<()> {
        let mut found = node.files.list_all(&[&self.data, &self.old])?.into_iter();
        let in_place = found.next().flatten().unwrap_or_default();
        let left = journal.names(found.next().flatten());
        let mut problems = Vec::new();
        if !left.is_empty() {
            problems.push(format!("{} still has {}", self.old.display(), listed(&left)));
        }
        let mut wanted = journal.old.clone();
        let mut named = journal.names(Some(in_place.clone()));
        wanted.sort_unstable();
        named.sort_unstable();
        if wanted != named {
            problems.push(format!(
                "{} has {} instead of {}",
                self.data.display(),
                listed(&named),
                listed(&wanted)
            ));
        } else if !journal.old_data.is_empty() {
            let now = old::look_at(node, &self.data, &in_place, journal.change())?;
            for difference in old::differences(&journal.old_data, &now) {
                problems.push(format!("{} has {difference}", self.data.display()));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Failure::incomplete(
            Code::new("CC-R51"),
            format!(
                "the old data of {} is not as it was before the swap: {}",
                node.shown(),
                problems.join("; ")
            ),
            format!(
                "Keep everything in {}, and do not start CouchDB there. Check both directories, then run `couchcopy restore \
                 --roll-back NODE…` to try again. If the data in place is right, remove {} first.",
                self.folder.display(),
                self.journal.display()
            ),
        ))
    }

    /// A new directory below `undone`, which is created only if it is needed.
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

    /// Revokes the confirmation of the new data: from now on the directories show again where the old data is.
    pub(crate) fn reopened(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Swapping)
    }

    /// Records that the old data is being removed. It cannot be restored afterwards.
    pub(crate) fn removing(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Removing)
    }

    /// Records that the new data is good.
    pub(crate) fn done(&self, node: &Node) -> Result<()> {
        self.set_phase(node, Phase::Done)
    }

    /// Records that the old data is back. From now on the leftovers are useless.
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

    /// Removes everything except the data in place. The journal is removed last.
    pub(crate) fn remove(&self, node: &Node) -> Result<()> {
        let state = look(node)?;
        match state.journal.as_ref().map(|journal| journal.phase) {
            Some(Phase::Staging | Phase::Staged | Phase::Undone) if !state.in_old.is_empty() => {
                return Err(Failure::refused(
                    Code::new("CC-R52"),
                    format!(
                        "old data ({}) is still in {} of {}, although it should be back in place",
                        listed(&state.in_old),
                        self.old.display(),
                        node.shown()
                    ),
                    "Check both directories, and move the old data back by hand if it belongs there.",
                ));
            }
            Some(Phase::Done) => self.removing(node)?,
            // What is being copied is good for nothing until it is whole; and on a full disk nothing can be written.
            Some(Phase::Removing | Phase::Undone | Phase::Staging) => {}
            Some(Phase::Staged) => self.set_phase(node, Phase::Undone)?,
            Some(Phase::Swapping) => {
                return Err(Failure::bug(format!(
                    "the files next to the data of {} were to be removed in the middle of a swap",
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

/// Names for a message.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn decided<'s>(node: &Node, state: &'s NodeState) -> Result<&'s Journal> {
    state.journal.as_ref().filter(|journal| journal.phase == Phase::Swapping).ok_or_else(|| {
        Failure::bug(format!("the data of {} was to be swapped before that was recorded", node.shown()))
    })
}

/// Refuses to continue if there is old data without a journal.
pub(crate) fn check_journal(node: &Node, state: &NodeState) -> Result<()> {
    if state.journal.is_none() && !state.in_old.is_empty() {
        return no_journal(node, state);
    }
    Ok(())
}

fn no_journal<T>(node: &Node, state: &NodeState) -> Result<T> {
    Err(Failure::refused(
        Code::new("CC-R53"),
        format!(
            "the journal of a restore is missing on {}, although there is old data ({}) in {}",
            node.shown(),
            state.in_old.join(", "),
            Places::of(node).old.display()
        ),
        "Someone has removed the journal. Check the directory, and move its content back into the data directory by hand if it \
         belongs there.",
    ))
}
