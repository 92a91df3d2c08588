//! Keeps what comes through a pipe, so that it can be read by ranges.

use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use couchfile::read_at::FileBytes;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Advice, Code, Failure, FailureKind, Result, io_remedy};

use crate::opened::Opened;

/// Bytes that are written, and reported, at a time.
const PIECE: u64 = 1 << 20;

/// The temporary file of an archive from a pipe cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep {name} in a temporary file in {} (after {written} bytes)", folder.display())]
struct NotKept {
    name: String,
    folder: PathBuf,
    written: u64,
    source: io::Error,
}

impl Advice for NotKept {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn code(&self) -> Code {
        Code::new("CC-O24")
    }

    fn remedy(&self) -> Option<String> {
        let cause = match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("There is not enough space in {}. ", self.folder.display())
            }
            io::ErrorKind::FileTooLarge => {
                io_remedy(&self.folder, &self.source).map_or_else(String::new, |remedy| remedy + " ")
            }
            _ => String::new(),
        };
        Some(format!(
            "{cause}An archive that comes through a pipe is read several times. Set TMPDIR to a directory with enough space for all \
             of it, or write the archive to a file first and give the path of the file."
        ))
    }
}

/// Keeps what comes from a pipe in a temporary file without a name, as it came: encrypted if it is encrypted. Whoever reads a
/// backup reads it more than once.
pub(crate) fn spool(mut from: impl Read, name: &str, reporter: &dyn Reporter) -> Result<Opened> {
    let folder = std::env::temp_dir();
    let not_kept = |written| {
        let (name, folder) = (name.to_owned(), folder.clone());
        move |source| NotKept { name, folder, written, source }
    };
    let mut file = tempfile::tempfile_in(&folder).map_err(not_kept(0))?;
    let text = format!("{name} is kept in a temporary file in {} until the command ends", folder.display());
    reporter.notice(&Notice { severity: Severity::Info, text });
    reporter.phase(&format!("reading {name}"), None);
    let (mut piece, mut written) = (Vec::new(), 0);
    loop {
        if reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        piece.clear();
        let read = from.by_ref().take(PIECE).read_to_end(&mut piece);
        if read.map_err(|error| Failure::io("read", name, error))? == 0 {
            break;
        }
        file.write_all(&piece).map_err(not_kept(written))?;
        written += piece.len() as u64;
        reporter.advance(0, written);
    }
    let source = FileBytes::new(file).map_err(not_kept(written))?;
    Ok(Opened { source: Arc::new(source), identity: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_a_remedy() {
        for (error, words) in [
            (rustix::io::Errno::NOSPC, "There is not enough space in /some/where."),
            (rustix::io::Errno::DQUOT, "There is not enough space in /some/where."),
            (rustix::io::Errno::FBIG, "ulimit -f"),
            (rustix::io::Errno::ACCESS, "TMPDIR"),
        ] {
            let error = NotKept {
                name: "standard input".into(),
                folder: "/some/where".into(),
                written: 7,
                source: error.into(),
            };
            assert_eq!(
                error.to_string(),
                "cannot keep standard input in a temporary file in /some/where (after 7 bytes)"
            );
            let remedy = error.remedy().unwrap();
            assert!(remedy.contains(words) && remedy.contains("Set TMPDIR"), "{remedy}");
        }
    }
}
