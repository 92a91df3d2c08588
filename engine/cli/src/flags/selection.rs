//! Which of an archive's databases a restore takes, and under which names.

use clap::Args;
use outcome::Result;
use restore::selection::Selection;

/// A choice among the databases of an archive.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectionFlags {
    /// Restore only the databases whose names match. Can be repeated.
    ///
    /// `*` matches any characters, including `/`; `?` matches one character. A system database such as _users is restored only
    /// if a pattern matches it. A running cluster loses all other databases.
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) only: Vec<String>,

    /// Leave out the databases whose names match. Can be repeated.
    ///
    /// A running cluster loses these databases.
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) except: Vec<String>,

    /// Restore a database under another name. Can be repeated.
    ///
    /// The view indexes of the database are restored with it.
    #[arg(long, value_name = "OLD=NEW", conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) rename: Vec<String>,

    /// Leave out databases that are damaged or incomplete in the archive.
    ///
    /// Without this option couchcopy refuses to restore such an archive. A running cluster loses these databases.
    #[arg(long)]
    pub(crate) skip_damaged: bool,

    /// Restore an archive whose shard maps name no database.
    ///
    /// A running cluster loses all its databases.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"], hide_short_help = true)]
    pub(crate) allow_empty: bool,
}

impl SelectionFlags {
    /// The databases that the options choose.
    pub(crate) fn selection(&self) -> Result<Selection> {
        Selection::parse(&self.only, &self.except, &self.rename)
    }
}
