//! A node that is read on its own: what is left of a damaged file has no parents that say what to expect.

use super::cursor::Entry;
use super::key::Key;
use super::node;
use crate::compression;
use crate::error::TermError;
use crate::term::Decoder;

/// A leaf of any tree, without what a parent says of it.
#[derive(Debug)]
pub struct LooseNode {
    term: Vec<u8>,
    leaf: bool,
    /// Where each entry's key and value begin and end.
    entries: Vec<[usize; 3]>,
    complete: bool,
}

impl LooseNode {
    /// Reads the payload of a chunk; `None` if it is not that of a node. The order of the keys is not looked at.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let term = compression::unpack(payload).ok()?.into_vec();
        let mut decoder = Decoder::new(&term);
        let (leaf, count) = node::head(&mut decoder).ok()?;
        let mut entries = Vec::new();
        let mut read = || -> Result<(), TermError> {
            for _ in 0..count {
                decoder.tuple_of(2)?;
                let begin = decoder.position();
                Key::decode(decoder.raw()?)?;
                let middle = decoder.position();
                decoder.skip()?;
                entries.push([begin, middle, decoder.position()]);
            }
            decoder.list_end()?;
            decoder.end()
        };
        let complete = read().is_ok();
        Some(Self { term, leaf, entries, complete })
    }

    /// Whether it holds entries, not pointers to other nodes.
    pub fn is_leaf(&self) -> bool {
        self.leaf
    }

    /// Whether its term is complete, to the last byte.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The keys with their values: entries of a leaf, `{Ptr, Reduction, Size}` of any other node. Only those before the first damage.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter().filter_map(|&[begin, middle, end]| {
            let key = Key::decode(self.term.get(begin..middle)?).ok()?;
            Some(Entry { key, value: self.term.get(middle..end)? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    #[test]
    fn what_comes_before_damage_is_read() {
        let mut term = Encoder::versioned();
        term.tuple(2).atom(b"kv_node").list(2);
        term.tuple(2).binary(b"a").uint(1);
        term.tuple(2).binary(b"b").uint(2).nil();
        let mut bytes = term.finish();
        let node = LooseNode::decode(&bytes).unwrap();
        assert!(node.is_leaf() && node.is_complete());
        assert_eq!(node.entries().map(|e| e.value.to_vec()).collect::<Vec<_>>(), [vec![97, 1], vec![97, 2]]);
        let cut = bytes.len() - 3;
        bytes[cut] = 0;
        let node = LooseNode::decode(&bytes).unwrap();
        assert!(!node.is_complete());
        assert_eq!(node.entries().count(), 1);
        assert!(LooseNode::decode(b"\x83h\x02d\x00\x07kv_nodej").is_none());
        assert!(LooseNode::decode(b"").is_none());
    }
}
