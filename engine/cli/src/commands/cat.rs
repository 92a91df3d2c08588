//! `couchcopy cat`.

use clap::Args;
use outcome::Result;
use store::Location;

use crate::exit::Outcome;
use crate::flags::store::location;
use crate::output;
use crate::session::Session;

/// Write one file of an archive to standard output.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    couchcopy cat backup.tar.gz metadata.yaml\n  \
    couchcopy cat backup.tar.gz \\\n    config,couchdb@127.0.0.1,opt,couchdb,etc,local.ini")]
pub(crate) struct Cat {
    /// The archive.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// The file's name in the archive.
    ///
    /// `couchcopy ls ARCHIVE DB --shards` lists the files of a database's shards, `couchcopy info ARCHIVE` lists configuration
    /// files.
    #[arg(value_name = "NAME")]
    name: String,
}

impl Cat {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let mut out = std::io::stdout();
        let written =
            inspect::cat::cat(&session.place(&self.archive)?, &self.name, session.threads(), &mut out);
        output::unless_closed(written).map(|()| Outcome::Done)
    }
}
