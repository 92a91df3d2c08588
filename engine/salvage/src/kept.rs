//! Revisions that are recovered, and the document that they make.

use std::collections::BTreeMap;

use couchfile::document::Attachment;
use couchfile::revtree::RevId;
use couchfile::writer::{NewBody, NewDocument, NewRevision};

/// An attachment and the copy that has its bytes; `None`: lost.
#[derive(Debug, Clone)]
pub(crate) struct KeptAttachment {
    pub(crate) attachment: Attachment,
    pub(crate) copy: Option<u16>,
}

/// A revision that is recovered.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) generation: u64,
    pub(crate) id: Vec<u8>,
    /// The nearest one first.
    pub(crate) ancestors: Vec<Vec<u8>>,
    pub(crate) deleted: bool,
    /// An object as a term, without version byte.
    pub(crate) body: Vec<u8>,
    pub(crate) attachments: Vec<KeptAttachment>,
}

impl Kept {
    pub(crate) fn lost_attachments(&self) -> usize {
        self.attachments.iter().filter(|attachment| attachment.copy.is_none()).count()
    }

    /// Whether body and attachments are the same.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        let same = |(a, b): (&KeptAttachment, &KeptAttachment)| {
            let of = |kept: &KeptAttachment| {
                let a = &kept.attachment;
                (a.name.clone(), a.content_type.clone(), a.md5.clone(), a.stored_len)
            };
            of(a) == of(b)
        };
        self.deleted == other.deleted
            && self.body == other.body
            && self.attachments.len() == other.attachments.len()
            && self.attachments.iter().zip(&other.attachments).all(same)
    }

    /// The revision as CouchDB writes it.
    pub(crate) fn rev(&self) -> String {
        format!("{}-{}", self.generation, RevId(&self.id))
    }
}

/// A document of these revisions, whose attachments `place` writes. Of two that are the same, or of which one is an ancestor of the
/// other, the later is left out.
pub(crate) fn document<E>(
    id: &[u8],
    kept: &[Kept],
    mut place: impl FnMut(&KeptAttachment) -> Result<Option<Attachment>, E>,
) -> Result<NewDocument<Attachment>, E> {
    // Generation and id to the parent's id.
    let mut revisions: BTreeMap<(u64, &[u8]), Option<&[u8]>> = BTreeMap::new();
    for leaf in kept {
        let mut child = (leaf.generation, leaf.id.as_slice());
        for parent in &leaf.ancestors {
            let Some(generation) = child.0.checked_sub(1).filter(|&generation| generation > 0) else { break };
            revisions.entry(child).or_default().get_or_insert(parent);
            child = (generation, parent);
        }
        revisions.entry(child).or_default();
    }
    let parents: std::collections::HashSet<(u64, &[u8])> = revisions
        .iter()
        .filter_map(|((generation, _), parent)| Some((generation.checked_sub(1)?, (*parent)?)))
        .collect();
    let mut bodies: BTreeMap<(u64, &[u8]), NewBody<Attachment>> = BTreeMap::new();
    for leaf in kept {
        let rev = (leaf.generation, leaf.id.as_slice());
        if parents.contains(&rev) || bodies.contains_key(&rev) {
            continue;
        }
        let mut attachments = Vec::new();
        for attachment in &leaf.attachments {
            attachments.extend(place(attachment)?);
        }
        bodies.insert(rev, NewBody { term: leaf.body.clone(), deleted: leaf.deleted, attachments });
    }
    let mut numbers: BTreeMap<(u64, &[u8]), usize> = BTreeMap::new();
    let mut new = Vec::with_capacity(revisions.len());
    // A parent has a lower generation, so it comes first.
    for (rev, parent) in revisions {
        let parent = parent.and_then(|parent| numbers.get(&(rev.0 - 1, parent)).copied());
        numbers.insert(rev, new.len());
        new.push(NewRevision { generation: rev.0, id: rev.1.to_vec(), parent, body: bodies.remove(&rev) });
    }
    Ok(NewDocument { id: id.to_vec(), revisions: new })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(generation: u64, id: u8, ancestors: &[u8]) -> Kept {
        Kept {
            generation,
            id: vec![id; 16],
            ancestors: ancestors.iter().map(|&id| vec![id; 16]).collect(),
            deleted: false,
            body: vec![104, 1, 106],
            attachments: Vec::new(),
        }
    }

    fn made(kept: &[Kept]) -> Vec<(u64, u8, Option<usize>, bool)> {
        let document = document(b"a", kept, |_| Ok::<_, ()>(None)).unwrap();
        let of = |r: &NewRevision<Attachment>| (r.generation, r.id[0], r.parent, r.body.is_some());
        document.revisions.iter().map(of).collect()
    }

    #[test]
    fn paths_that_share_ancestors_are_one_tree() {
        let tree = made(&[kept(3, 9, &[5, 1]), kept(3, 8, &[5])]);
        assert_eq!(
            tree,
            [(1, 1, None, false), (2, 5, Some(0), false), (3, 8, Some(1), true), (3, 9, Some(1), true)]
        );
        // An ancestor of another one needs no body, wherever it comes.
        assert_eq!(made(&[kept(1, 5, &[]), kept(2, 9, &[5])]), [(1, 5, None, false), (2, 9, Some(0), true)]);
    }

    #[test]
    fn numbers_that_no_revision_has_do_no_harm() {
        assert_eq!(made(&[kept(0, 1, &[2, 3])]), [(0, 1, None, true)]);
        assert_eq!(made(&[kept(1, 1, &[2])]), [(1, 1, None, true)]);
        assert_eq!(made(&[kept(u64::MAX, 1, &[2])]).len(), 2);
    }
}
