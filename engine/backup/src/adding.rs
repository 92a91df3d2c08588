//! Adds files to the archive, some of which may come through streams.

use archive::{ArchiveError, ArchiveWriter, EntrySource, Progress};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result};

use crate::remote;

/// Adds files, some of which may come through streams.
pub(crate) fn add_all<W: std::io::Write + Send, S: EntrySource>(
    writer: &mut ArchiveWriter<W>,
    sources: impl Iterator<Item = S> + Send,
    streams: &remote::Streams,
    reporter: &dyn Reporter,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let pass_on = || {
        for text in streams.notices() {
            reporter.notice(&Notice { severity: Severity::Warning, text });
        }
    };
    let told = |so_far| {
        pass_on();
        progress(so_far);
    };
    let added = writer.add_all_waiting(sources, &told, &|| streams.stop());
    pass_on();
    if added.is_ok()
        && let Some(failure) = streams.failure()
    {
        // What came last may not be as it was.
        return Err(failure.into());
    }
    added.map_err(|error| {
        // What came of a connection that failed is not worth telling; why it failed is.
        match streams.failure() {
            Some(failure) => failure.into(),
            None => match &error {
                ArchiveError::Io { source, .. } => match remote::broken_off(source) {
                    Some(failure) => failure.into(),
                    None => Failure::from(error),
                },
                _ => Failure::from(error),
            },
        }
    })
}
