//! The packs that a backup needs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::names::PackName;
use crate::record::FileRecord;

/// What a manifest records of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackInfo {
    /// Its name, 32 hexadecimal digits.
    #[serde(with = "name")]
    pub(crate) name: PackName,
    /// BLAKE3 of the object, 64 hexadecimal digits.
    pub(crate) blake3: String,
    /// Bytes of the object.
    pub(crate) size: u64,
    /// Bytes of the pack, not encrypted.
    pub(crate) plain: u64,
    /// Bytes of content in its pieces.
    pub(crate) content: u64,
    /// Bytes of content in it that the backup needs.
    pub(crate) used: u64,
    /// Of an encrypted pack the bytes before its payload, in base64: with them, a piece is read in one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<String>,
}

mod name {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::names::PackName;

    pub(super) fn serialize<S: Serializer>(name: &PackName, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(name)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<PackName, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|()| D::Error::custom("not the name of a pack"))
    }
}

/// Packs, numbered in the order in which they were first named.
#[derive(Debug, Default, Clone)]
pub(crate) struct PackTable {
    packs: Vec<PackInfo>,
    numbers: HashMap<PackName, u32>,
}

impl PackTable {
    pub(crate) fn of(packs: Vec<PackInfo>) -> Self {
        let numbers = packs.iter().enumerate().map(|(number, pack)| (pack.name, number as u32)).collect();
        Self { packs, numbers }
    }

    pub(crate) fn packs(&self) -> &[PackInfo] {
        &self.packs
    }

    pub(crate) fn get(&self, name: PackName) -> Option<&PackInfo> {
        self.packs.get(*self.numbers.get(&name)? as usize)
    }

    pub(crate) fn name(&self, number: u32) -> Option<PackName> {
        self.packs.get(number as usize).map(|pack| pack.name)
    }

    /// The number of a pack; a pack that is not in the table is added, with facts that come later.
    pub(crate) fn number(&mut self, name: PackName) -> u32 {
        let packs = &mut self.packs;
        *self.numbers.entry(name).or_insert_with(|| {
            packs.push(PackInfo {
                name,
                blake3: String::new(),
                size: 0,
                plain: 0,
                content: 0,
                used: 0,
                head: None,
            });
            packs.len() as u32 - 1
        })
    }

    /// Counts what a file needs.
    pub(crate) fn count(&mut self, file: &FileRecord) {
        for (pack, bytes) in file.uses() {
            let number = self.number(pack);
            if let Some(info) = self.packs.get_mut(number as usize) {
                info.used = info.used.saturating_add(bytes);
            }
        }
    }

    /// Fills in what is known of a pack.
    pub(crate) fn describe(&mut self, info: &PackInfo) {
        let number = self.numbers.get(&info.name);
        if let Some(known) = number.and_then(|number| self.packs.get_mut(*number as usize)) {
            *known = PackInfo { used: known.used, ..info.clone() };
        }
    }
}
