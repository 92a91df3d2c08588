//! What becomes of a document's leaves when it is copied with changes.

use crate::revtree::RevTree;

/// What becomes of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// It is copied as it is.
    Keep,
    /// It gets another body.
    Replace {
        /// The body: an object as a term, without version byte.
        term: Vec<u8>,
        /// Names of its attachments that stay.
        attachments: Vec<String>,
    },
    /// It is not copied.
    LeaveOut,
}

/// Which revisions of a tree stay, and what becomes of its leaves.
pub(super) struct Changes<'l> {
    /// By the revision's number in the tree: the children that stay; `None` if it does not stay itself.
    pub(super) children: Vec<Option<usize>>,
    /// By the revision's number in the tree, for leaves.
    leaves: Vec<Option<&'l Leaf>>,
}

impl<'l> Changes<'l> {
    /// Applies changes to the leaves of a tree, one for each in their order there. A revision none of whose leaves stays does not
    /// stay either. `None` if there is not one change for each leaf.
    pub(super) fn of(tree: &RevTree<'_>, changes: &'l [Leaf]) -> Option<Self> {
        let revisions = tree.revisions();
        let mut leaves = vec![None; revisions.len()];
        let mut children: Vec<Option<usize>> = vec![None; revisions.len()];
        let mut left = changes.iter();
        for (i, revision) in revisions.iter().enumerate().filter(|(_, revision)| revision.children == 0) {
            let change = left.next()?;
            leaves[i] = Some(change);
            if *change == Leaf::LeaveOut {
                continue;
            }
            children[i] = Some(0);
            let mut parent = revision.parent;
            // Up to the first ancestor that stays already.
            while let Some(above) = parent {
                let is_new = children.get(above)?.is_none();
                *children.get_mut(above)? = Some(children[above].unwrap_or(0) + 1);
                parent = revisions[above].parent.filter(|_| is_new);
            }
        }
        left.next().is_none().then_some(Self { children, leaves })
    }

    /// Whether nothing stays.
    pub(super) fn is_empty(&self) -> bool {
        self.children.iter().all(Option::is_none)
    }

    /// What becomes of a leaf, by its number in the tree.
    pub(super) fn leaf(&self, number: usize) -> Option<&'l Leaf> {
        self.leaves.get(number).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    fn leaf(encoder: &mut Encoder, id: &[u8]) {
        encoder.tuple(3).binary(id).tuple(5).uint(0).uint(40).uint(1).tuple(2).uint(1).uint(1).nil().nil();
    }

    /// 1-a with the children 2-b, a leaf, and 2-c, whose child 3-d is one; and the root 4-e, a leaf.
    fn tree() -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.list(2).tuple(2).uint(1).tuple(3).binary(b"a").nil().list(2);
        leaf(&mut encoder, b"b");
        encoder.tuple(3).binary(b"c").nil().list(1);
        leaf(&mut encoder, b"d");
        encoder.nil().nil().tuple(2).uint(4);
        leaf(&mut encoder, b"e");
        encoder.nil();
        encoder.finish()
    }

    #[test]
    fn branches_without_a_leaf_go() {
        let bytes = tree();
        let tree = RevTree::decode(&bytes).unwrap();
        let children = |changes: [Leaf; 3]| Changes::of(&tree, &changes).unwrap().children;
        let (keep, gone) = (Leaf::Keep, Leaf::LeaveOut);
        let some = Some::<usize>;
        let all = children([keep.clone(), keep.clone(), keep.clone()]);
        assert_eq!(all, [some(2), some(0), some(1), some(0), some(0)]);
        let without_d = children([keep.clone(), gone.clone(), keep.clone()]);
        assert_eq!(without_d, [some(1), some(0), None, None, some(0)]);
        let only_e = children([gone.clone(), gone.clone(), keep.clone()]);
        assert_eq!(only_e, [None, None, None, None, some(0)]);
        let nothing = Changes::of(&tree, &[gone.clone(), gone.clone(), gone.clone()]).unwrap().is_empty();
        assert!(nothing);
        assert!(Changes::of(&tree, std::slice::from_ref(&keep)).is_none());
        assert!(Changes::of(&tree, &[keep.clone(), keep.clone(), keep.clone(), keep]).is_none());
    }
}
