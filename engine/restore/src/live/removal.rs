//! Removes what restores leave on nodes.

use cluster::{on_all, on_each};
use node::Node;
use outcome::Result;
use outcome::report::{Reporter, Steps};

use super::{kept, warn};
use crate::swap::{self, Places, Situation};

/// Removes the copied data after a failure that has replaced nothing; if an id is given, only the data of that restore.
pub(crate) fn discard(nodes: &[Node], id: Option<&str>, steps: &Steps<'_>, reporter: &dyn Reporter) {
    reporter.phase("removing the copied data", None);
    for (node, removed) in nodes.iter().zip(on_each(nodes, |_, node| {
        // What another restore has there is its own business; it may be why this one failed.
        if let (Some(id), Some(journal)) = (id, Places::of(node).journal(node)?)
            && journal.id != id
        {
            return Ok(());
        }
        Places::of(node).remove(node)?;
        steps.done("discarded", node);
        Ok(())
    })) {
        if let Err(error) = removed {
            warn(
                reporter,
                format!(
                    "the data copied to {} is still there: {error}. `couchcopy restore --roll-back` removes it.",
                    node.shown()
                ),
            );
        }
    }
}

/// Removes the leftovers of a restore on nodes. All nodes record the removal before the first node loses its old data, so that a
/// roll back on the other nodes is not possible.
pub(crate) fn remove_all(nodes: &[Node], steps: &Steps<'_>, step: &str) -> Result<()> {
    on_all(nodes, |_, node| {
        if swap::look(node)?.situation == Situation::Done {
            Places::of(node).removing(node)?;
            steps.done("old data given up", node);
        }
        Ok(())
    })?;
    on_all(nodes, |_, node| {
        let (places, situation) = (Places::of(node), swap::look(node)?.situation);
        if situation == Situation::Removing {
            kept::keep(node, &places.old)?;
        }
        if situation != Situation::Untouched {
            places.remove(node)?;
        }
        steps.done(step, node);
        Ok(())
    })?;
    Ok(())
}
