//! Removes what restores leave on nodes.

use cluster::{on_all, on_each};
use node::Node;
use outcome::Result;
use outcome::report::{Reporter, Steps};

use super::{kept, warn};
use crate::swap::{self, Places, Situation};

/// Removes what was copied, after a failure that has replaced nothing; only what belongs to the restore of this id, if one
/// is given.
pub(super) fn discard(nodes: &[Node], id: Option<&str>, steps: &Steps<'_>, reporter: &dyn Reporter) {
    reporter.phase("removing what was copied", None);
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
                    "what was copied to {} is still there: {error}. `couchcopy restore --roll-back` removes it.",
                    node.shown()
                ),
            );
        }
    }
}

/// Removes what is left of a restore on nodes. Before the first of them has lost its old data all have written down that it
/// goes, so that nobody brings it back on the others.
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
