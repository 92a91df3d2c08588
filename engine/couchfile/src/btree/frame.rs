//! A node that is being read, and what its parent said of it.

use super::key::Key;
use super::reduction::{Reduction, TreeKind};
use crate::error::{CouchFileError, Result};
use crate::header::TreeState;
use crate::term::Decoder;

/// A node between the root and the present leaf, or that leaf.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) ptr: u64,
    pub(super) term: Vec<u8>,
    pub(super) pos: usize,
    pub(super) left: usize,
    pub(super) leaf: bool,
    /// What the parent said of this node.
    pub(super) claimed: TreeState,
    pub(super) claimed_last_key: Option<Vec<u8>>,
    pub(super) reduction: Reduction,
    /// Bytes of this node and the nodes below it: at least, at most (see [`crate::blocks::written_len`]).
    pub(super) size: (u64, u64),
}

impl Frame {
    /// Compares the node, which has been read to its end, with what its parent said. `last_key` is the last key that was
    /// read. In checking mode reductions and sizes are compared, too.
    pub(super) fn check_claims(&self, kind: TreeKind, last_key: Option<&[u8]>, checking: bool) -> Result<()> {
        let name = kind.name();
        let damaged = |why: String| CouchFileError::damaged(name, self.ptr, why);
        let mut decoder = Decoder::new(&self.term[self.pos..]);
        decoder.list_end().and_then(|()| decoder.end()).map_err(|e| damaged(e.to_string()))?;
        if let (Some(claimed), Some(found)) = (&self.claimed_last_key, last_key) {
            let same = Key::decode(claimed).and_then(|a| Ok(a == Key::decode(found)?));
            if !same.map_err(|e| damaged(e.to_string()))? {
                return Err(damaged("its last key is not the one its parent names".into()));
            }
        }
        if !checking {
            return Ok(());
        }
        let (claimed, with_sizes) = Reduction::decode(kind, &self.claimed.reduction)
            .map_err(|e| damaged(format!("unreadable reduction: {e}")))?;
        let found = self.reduction;
        let equal = kind == TreeKind::Local
            || (claimed.count == found.count
                && claimed.deleted == found.deleted
                && (!with_sizes || claimed.sizes == found.sizes));
        if !equal {
            return Err(damaged(format!("its parent says {claimed:?}, its entries make {found:?}")));
        }
        if let Some(size) = self.claimed.size
            && !(self.size.0..=self.size.1).contains(&size)
        {
            return Err(damaged(format!(
                "its parent says {size} bytes of nodes, found {} to {}",
                self.size.0, self.size.1
            )));
        }
        Ok(())
    }
}

/// How many entries a node says that the tree below it has; 0 if it does not say.
pub(super) fn claimed_entries(kind: TreeKind, claimed: &TreeState) -> u64 {
    Reduction::decode(kind, &claimed.reduction)
        .map_or(0, |(reduction, _)| reduction.count.saturating_add(reduction.deleted))
}
