//! What the nodes of a file say of a document.

use std::io::{self, Read, Write};

/// The tree whose node says it. The two trees keep the same of each document in different places of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// The id tree.
    Id,
    /// The sequence tree.
    Seq,
    /// A node above a damaged leaf of the id tree, which names the leaf's last id and nothing else.
    Key,
}

/// An entry of a document in one of the trees, of any generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The document's id.
    pub(crate) id: Vec<u8>,
    /// Sequence of the change that the entry describes.
    pub(crate) seq: u64,
    /// Number of the copy.
    pub(crate) copy: u16,
    pub(crate) by: By,
    /// The entry's value, an encoded term.
    pub(crate) value: Vec<u8>,
    /// Offset of the node; 0 if it was reached from the newest header.
    pub(crate) node: u64,
    /// Whether it belongs to the state that the copy's newest header describes.
    pub(crate) current: bool,
    /// Whether only CouchDB can have written the node: the chunks before it lead to it from a header, or a header's tree does. What
    /// lies behind damage can be the content of an attachment.
    pub(crate) framed: bool,
}

impl Found {
    /// The order in which entries are sorted: by id, then newest first.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |f: &Self| (std::cmp::Reverse(f.seq), f.copy, f.by);
        (self.id.cmp(&other.id))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.value.cmp(&other.value))
    }

    /// Takes over what another node says in addition, if it has the same entry.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let same = self.order(other).is_eq();
        if same {
            self.current |= other.current;
            self.framed |= other.framed;
            self.node = self.node.max(other.node);
        }
        same
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.id.len() + self.value.len() + 120
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let by = match self.by {
            By::Id => 0u8,
            By::Seq => 1,
            By::Key => 2,
        };
        let flags = u8::from(self.current) | u8::from(self.framed) << 1;
        out.write_all(&(self.id.len() as u32).to_le_bytes())?;
        out.write_all(&(self.value.len() as u32).to_le_bytes())?;
        out.write_all(&self.seq.to_le_bytes())?;
        out.write_all(&self.node.to_le_bytes())?;
        out.write_all(&self.copy.to_le_bytes())?;
        out.write_all(&[by, flags])?;
        out.write_all(&self.id)?;
        out.write_all(&self.value)
    }

    /// Reads what [`Self::write`] wrote; `None` at the end.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0u8; 28];
        let first = from.read(&mut head[..1])?;
        if first == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[1..])?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let mut id = vec![0; word(0) as usize];
        let mut value = vec![0; word(4) as usize];
        from.read_exact(&mut id)?;
        from.read_exact(&mut value)?;
        let by = match head[26] {
            0 => By::Id,
            1 => By::Seq,
            _ => By::Key,
        };
        Ok(Some(Self {
            id,
            seq: long(8),
            copy: u16::from_le_bytes([head[24], head[25]]),
            by,
            value,
            node: long(16),
            current: head[27] & 1 != 0,
            framed: head[27] & 2 != 0,
        }))
    }
}
