//! The files of the backup that a new one builds on, in order.

use std::iter::Peekable;

use crate::error::Result;
use crate::manifest::{BaseLine, Listed, Manifest, Record, Records, order};
use crate::record::FileRecord;

/// The files of the backup that a new one builds on.
#[derive(Default)]
pub(super) struct Old {
    records: Option<Peekable<Records>>,
}

/// What is known of a file's name.
#[derive(Default)]
pub(super) struct Known {
    /// The file as it was.
    pub(super) old: Option<Record>,
    /// The line of the base about it.
    pub(super) base: Option<Box<FileRecord>>,
}

impl Known {
    /// Bytes of memory that say where the file is, more or less.
    pub(super) fn memory(&self) -> u64 {
        let old = self.old.as_ref().map_or(0, |record| record.file.memory());
        old + self.base.as_ref().map_or(0, |base| base.memory())
    }
}

impl Old {
    pub(super) fn new(manifest: Option<&Manifest>) -> Self {
        Self { records: manifest.map(|manifest| manifest.records().peekable()) }
    }

    /// Goes on to a name. What the base has before it and nobody asked for is `gone`.
    pub(super) fn advance(&mut self, name: &str, gone: &mut Vec<String>) -> Result<Known> {
        let Some(records) = &mut self.records else { return Ok(Known::default()) };
        loop {
            let next = match records.peek() {
                None => return Ok(Known::default()),
                Some(Err(_)) => None,
                Some(Ok(Listed::File(record))) => Some(&record.file.name),
                Some(Ok(Listed::Gone(file))) => Some(&file.name),
            };
            if next.is_some_and(|next| order(next) > order(name)) {
                return Ok(Known::default());
            }
            let is_it = next.is_some_and(|next| next == name);
            let Some(record) = records.next().transpose()? else { return Ok(Known::default()) };
            if !is_it {
                gone.extend(gone_name(record));
                continue;
            }
            return Ok(match record {
                Listed::Gone(base) => Known { old: None, base: Some(Box::new(base)) },
                Listed::File(record) => {
                    let base = match &record.base {
                        BaseLine::Same => Some(Box::new(record.file.clone())),
                        BaseLine::Other(base) => Some(base.clone()),
                        BaseLine::None => None,
                    };
                    Known { old: Some(record), base }
                }
            });
        }
    }

    /// The names in the base that nobody asked for.
    pub(super) fn rest(self) -> impl Iterator<Item = Result<String>> {
        self.records.into_iter().flatten().filter_map(|record| record.map(gone_name).transpose())
    }
}

/// The name of a file that the base has.
fn gone_name(listed: Listed) -> Option<String> {
    match listed {
        Listed::File(Record { base: BaseLine::None, .. }) => None,
        Listed::File(Record { file, .. }) | Listed::Gone(file) => Some(file.name),
    }
}
