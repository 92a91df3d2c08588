//! Adds files to the archive, some of which may come through streams.

use archive::{ArchiveError, EntrySource, Progress};
use contents::NewBackup;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result};

use crate::remote;

/// Adds files, some of which may come through streams.
pub(crate) fn add_all<S: EntrySource>(
    writer: &mut NewBackup,
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
    let added = writer.add_all(sources, &told, &|| streams.stop());
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
            None => match error.get() {
                Some(ArchiveError::Io { source, .. }) => match remote::broken_off(source) {
                    Some(failure) => Failure::from(failure),
                    None => error,
                },
                _ => error,
            },
        }
    })
}
