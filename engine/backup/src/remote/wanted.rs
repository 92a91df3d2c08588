//! Which files of other machines have to be read, and of which only the end.

use archive::FileStat;
use contents::NewBackup;
use outcome::Result;
use repository::{Before, KnownEnd};

use crate::folder::NodeFolder;

/// A file that a phase saves.
pub(crate) struct Candidate<'f> {
    /// Number of the data directory.
    pub(crate) folder: u16,
    /// Its path below the data directory.
    pub(crate) path: &'f str,
    /// Its name in the backup.
    pub(crate) name: String,
    /// Its stat when the files were listed.
    pub(crate) stat: Option<FileStat>,
}

/// A file of another machine that has to be read.
pub(crate) struct Wanted<'f> {
    pub(super) folder: u16,
    pub(super) path: &'f str,
    /// Its stat, and its end in the backup that the new one builds on, if it may only have grown.
    pub(super) grown: Option<(FileStat, KnownEnd)>,
}

/// Which of these files, in the order of a backup, have to be read from other machines. Those that the new backup takes over from the
/// one that it builds on, because they are as they were, are not.
pub(crate) fn wanted<'f>(
    writer: &NewBackup,
    folders: &[NodeFolder],
    files: impl Iterator<Item = Candidate<'f>>,
) -> Result<Vec<Wanted<'f>>> {
    let is_streamed =
        |number: u16| folders.get(usize::from(number)).is_some_and(|folder| folder.origin.is_streamed());
    let (mut wanted, mut questions) = (Vec::new(), Vec::new());
    for Candidate { folder, path, name, stat } in files {
        let stat = stat.filter(|_| is_streamed(folder));
        questions.push((name, stat));
        wanted.push(Wanted { folder, path, grown: None });
    }
    if questions.iter().all(|(_, stat)| stat.is_none()) {
        return Ok(wanted);
    }
    let before = writer.before(&questions)?;
    let with = wanted.into_iter().zip(before).zip(questions);
    Ok(with
        .filter_map(|((wanted, before), (_, stat))| match before {
            Before::AsItWas => None,
            Before::Grown(known) => Some(Wanted { grown: stat.map(|stat| (stat, known)), ..wanted }),
            Before::Unknown => Some(wanted),
        })
        .collect())
}
