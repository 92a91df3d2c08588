//! Large files that are sent after all others.

use std::sync::PoisonError;

use outcome::{Failure, Result, parallel};

use super::{Wanted, Writer};

/// A large file of an archive with random access. Streams get it after all other files, because a tar stream needs its size
/// before its first byte, and the size depends on its end.
pub(super) struct Later<'p> {
    pub(super) wanted: Wanted<'p>,
    /// Numbers of the copies that are sent through streams.
    pub(super) streams: Vec<usize>,
    /// Its name in the archive.
    pub(super) entry: String,
    pub(super) size: u64,
    /// Whether it is checked while it is written into a directory.
    pub(super) is_checked: bool,
}

impl Writer<'_> {
    /// Sends the large files that streams have not received yet, to all nodes at once. Files that are not checked yet are checked
    /// at the same time, because the transfer is what takes the time.
    pub(crate) fn send_later(&self) -> Result<()> {
        let Some(files) = self.contents.source.files() else { return Ok(()) };
        let later = std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner));
        let open = |file: &Later<'_>| -> Result<contents::AnySource> {
            let opened = files.open(&file.entry)?;
            let opened = opened
                .ok_or_else(|| Failure::bug(format!("{} is not in the archive any more", file.entry)))?;
            Ok(opened.content)
        };
        let to = |target: usize| -> Result<()> {
            for file in &later {
                if self.proof.is_damaged() {
                    return Ok(());
                }
                let number =
                    file.streams.iter().find(|&&number| usize::from(file.wanted.targets[number]) == target);
                let Some(&number) = number else { continue };
                self.send(&file.wanted, number, &open(file)?)?;
            }
            Ok(())
        };
        let check = || -> Result<()> {
            for file in later.iter().filter(|file| !file.is_checked) {
                self.go_on()?;
                self.proves(&file.wanted, &open(file)?)?;
            }
            Ok(())
        };
        let (sent, checked) = std::thread::scope(|scope| {
            let checking = scope.spawn(check);
            let sent = parallel::all_at_once(self.destinations, |target, _| to(target));
            (sent, checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        checked?;
        // Of a damaged file the end cannot be made, perhaps: that it is damaged says more.
        if !self.proof.is_damaged() {
            sent.into_iter().collect::<Result<()>>()?;
        }
        for file in &later {
            self.count(&file.wanted, file.size, 0);
        }
        Ok(())
    }
}
