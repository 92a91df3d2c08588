//! How an archive is written.

use clap::Args;

use super::store::RecipientFlags;

/// Options of every command that makes an archive.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Archive")]
pub(crate) struct ArchiveFileFlags {
    /// Replace an existing archive when the new one is complete.
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Compression level: 0 is fastest, 12 makes the smallest archive.
    #[arg(long, default_value_t = archive::DEFAULT_LEVEL, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(0..=12))]
    pub(crate) level: i32,

    #[command(flatten)]
    pub(crate) recipients: RecipientFlags,
}
