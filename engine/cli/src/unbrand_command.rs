//! Carries out `couchcopy unbrand`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use load::unbrand::{UnbrandOptions, UnbrandResult};
use outcome::Result;
use outcome::report::Reporter as _;

use crate::commands::problems_text;
use crate::exit::Outcome;
use crate::output::{Output, bytes, count};
use crate::progress::Terminal;

/// Make an archive whose shard maps name one node, which can be used again and again.
#[derive(Debug, Args)]
#[command(
    after_help = "The Python couchcopy loads such an archive sooner: it starts a CouchDB of that name and has no shard map to \
    change. To this one it makes no difference. The node's name is a new one, and stands in metadata.yaml \
    (backup.source.nodes-names). Everything but that and the shard maps stays as it is, the node names that databases \
    remember themselves among it.\n\nOf an archive with a table of contents everything else is copied as it is, compressed: \
    `couchcopy verify` tells of either whether it is whole. One without (made by the Python couchcopy or by tar) is read in one \
    pass, and the new one has a table of contents.\n\nExample:\n  couchcopy unbrand backup.tar.gz unbranded.tar.gz"
)]
pub(crate) struct Unbrand {
    /// The archive; it stays as it is.
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,

    /// The archive to make. It gets its name when it is whole.
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// Replace an archive of that name, when the new one is whole.
    #[arg(long)]
    overwrite: bool,

    /// Compression of what is compressed anew: 0 is fastest, 12 is smallest.
    #[arg(long, default_value_t = archive::DEFAULT_LEVEL, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(0..=12))]
    level: i32,

    /// Where an archive without a table of contents is unpacked to, into a file without name. It takes the room of all databases.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    tmp_dir: PathBuf,
}

/// Carries it out.
pub(crate) fn unbrand(
    command: &Unbrand,
    threads: usize,
    output: &Output,
    reporter: &Terminal,
) -> Result<Outcome> {
    let options = UnbrandOptions {
        archive: command.archive.clone(),
        new: command.new.clone(),
        overwrite: command.overwrite,
        level: command.level,
        threads,
        temporary: command.tmp_dir.clone(),
    };
    let begun = std::time::Instant::now();
    let result = load::unbrand::unbrand(&options, reporter)?;
    reporter.end();
    reporter.timing("unbranded", begun.elapsed().as_secs_f64());
    if !reporter.is_quiet() {
        output.print(&result, |result| text(result, command));
    }
    Ok(Outcome::of(result.is_complete()))
}

fn text(result: &UnbrandResult, command: &Unbrand) -> String {
    let mut text = format!(
        "{}: {} of {}; {} in {}\n",
        command.new.display(),
        count(result.databases, "database", "databases"),
        result.node,
        bytes(result.content_bytes),
        bytes(result.archive_bytes)
    );
    if !result.problems.is_empty() {
        let n = count(result.problems.len() as u64, "file", "files");
        let _ = writeln!(text, "NOT IN IT, damaged or missing: {n}");
        problems_text(&mut text, &result.problems);
    }
    text
}
