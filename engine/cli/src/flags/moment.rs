//! An earlier moment at which databases are read.

use clap::Args;
use outcome::{Code, Failure, Result};
use repository::{Newest, Selector};
use snapshot::Moment;
use store::{Location, Place};

/// An earlier moment at which databases are read, as far as their files hold it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct MomentFlags {
    /// Read the database as it was at this sequence. Can be repeated, once for each shard.
    ///
    /// SEQ is a number if the database has one shard, RANGE=NUMBER for one of several shards, or a sequence as CouchDB shows it in
    /// update_seq and last_seq. The files of a backup hold older states as far back as the last compaction; `couchcopy history`
    /// lists them.
    #[arg(long, value_name = "SEQ", conflicts_with = "at", hide_short_help = true)]
    pub(crate) at_seq: Vec<String>,

    /// Read the database as it was at this time, e.g. 2026-11-27T18:00 (local time) or 2026-11-27T18:00:00Z.
    ///
    /// Of a repository, the newest backup that was begun before that time is read. In a single backup, CouchDB's record of times
    /// is used, which only versions after 3.5 keep.
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    pub(crate) at: Option<String>,
}

impl MomentFlags {
    /// Fails if a moment is given to a command that reads no single database.
    pub(crate) fn only_with_database(&self, has_database: bool) -> Result<()> {
        if has_database || self.at_seq.is_empty() && self.at.is_none() {
            return Ok(());
        }
        Err(Failure::refused(
            Code::new("CC-X28"),
            "--at-seq and --at are about single databases, but none is named",
            "Name the database: `couchcopy ls BACKUP DB --at-seq SEQ`, or `couchcopy restore --db NAME --at-seq SEQ BACKUP NODE`.",
        ))
    }

    /// The backup to be read, and the moment in it; `None`: as it was saved.
    pub(crate) fn of(&self, place: Place) -> Result<(Place, Option<Moment>)> {
        if !self.at_seq.is_empty() {
            let moment = Moment::of_seqs(self.at_seq.iter().map(String::as_str))?;
            return Ok((place, Some(moment)));
        }
        let Some(text) = &self.at else { return Ok((place, None)) };
        let seconds = match text.parse() {
            Ok(Selector::Newest(Newest { not_after: Some(seconds), .. })) => {
                u64::try_from(seconds).unwrap_or(0)
            }
            _ => {
                return Err(Failure::refused(
                    Code::new("CC-H08"),
                    format!("{text:?} is not a time"),
                    "Write a time such as 2026-11-27T18:00 (local time) or 2026-11-27T18:00:00Z.",
                ));
            }
        };
        if contents::is_repository(&place)? {
            let location: &Location = place.location();
            let backup = place.same_stores(&format!("{location}::{text}"))?;
            return Ok((backup, None));
        }
        Ok((place, Some(Moment::Time(seconds))))
    }
}
