//! `couchcopy load`.

use std::path::PathBuf;

use clap::Args;
use load::load::{LoadOptions, Loaded, load};
use outcome::Result;
use store::Location;

use crate::exit::Outcome;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::problems::left_out;
use crate::text::sizes::count;

/// Start a temporary CouchDB with an archive's data, to inspect it or experiment with it.
///
/// Ctrl-C stops CouchDB and removes everything.
#[derive(Debug, Args)]
#[command(
    after_long_help = "couchcopy unpacks the archive into a private directory and starts the CouchDB that is installed on this machine: on a \
    port of 127.0.0.1, under its own node name, with a random password, next to any other CouchDB that runs. Replications, \
    compaction and everything else that CouchDB does on its own are off, so that production replications do not start. What \
    you write is removed when the command ends; the archive is only read.\n\n\
    The command runs until Ctrl-C or SIGTERM, or until CouchDB ends. If the command is killed, CouchDB ends, too, and the next \
    load removes the directory. If no CouchDB is installed, use `couchcopy serve`, which answers from the archive itself.\n\n\
    Examples:\n  \
    couchcopy load backup.tar.gz\n  \
    couchcopy load --admin anna:secret --port 5985 --cors backup.tar.gz\n  \
    couchcopy load --tmp-dir /var/tmp --json backup.tar.gz"
)]
pub(crate) struct Load {
    /// The archive.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// Directory of the installed CouchDB [default: COUCHDB_HOME, /opt/couchdb, or the `couchdb` in PATH].
    #[arg(long, value_name = "DIR")]
    couchdb: Option<PathBuf>,

    /// Name and password of the server admin.
    ///
    /// Without a password, couchcopy takes the password in COUCHCOPY_PASSWORD, or else makes a random one and prints it.
    #[arg(long, value_name = "USER[:PASSWORD]")]
    admin: Option<String>,

    /// Port on 127.0.0.1 [default: any free port].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    port: Option<u16>,

    /// Allow web pages of any origin to send requests (CORS).
    ///
    /// This is for applications under development.
    #[arg(long)]
    cors: bool,

    /// Directory in which the private directory is made. It needs as much space as all databases.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    tmp_dir: PathBuf,

    /// Keep the private directory with the data, the configuration and the log.
    #[arg(long)]
    keep: bool,

    /// Leave out databases that are damaged or incomplete in the archive.
    ///
    /// Without this option couchcopy refuses to load such an archive.
    #[arg(long)]
    skip_damaged: bool,
}

impl Load {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        session.reporter().stop_when(session.watch_interrupt("stopping CouchDB …")?);
        let options = self.options(session)?;
        let mut complete = true;
        load(&options, session.reporter(), &mut |loaded| {
            complete = loaded.left_out.is_empty();
            session.summary(loaded, text);
        })?;
        Ok(Outcome::of(complete))
    }

    fn options(&self, session: &Session) -> Result<LoadOptions> {
        Ok(LoadOptions {
            archive: session.place(&self.archive)?,
            couchdb: self.couchdb.clone(),
            temporary: self.tmp_dir.clone(),
            keep: self.keep,
            port: self.port,
            admin: self.admin(),
            cors: self.cors,
            skip_damaged: self.skip_damaged,
            threads: session.threads(),
        })
    }

    /// Name and password of the server admin, as far as the user chose them.
    fn admin(&self) -> (Option<String>, Option<String>) {
        let Some(admin) = &self.admin else { return (None, None) };
        if let Some((user, password)) = admin.split_once(':') {
            return (Some(user.to_owned()), Some(password.to_owned()));
        }
        let password = std::env::var("COUCHCOPY_PASSWORD").ok().filter(|password| !password.is_empty());
        (Some(admin.clone()), password)
    }
}

fn text(loaded: &Loaded) -> String {
    let mut text = format!(
        "{}\n{} in CouchDB {}; as {} in {}, {}. Press Ctrl-C to stop.\n",
        loaded.url_with_user(),
        count(loaded.databases, "database", "databases"),
        loaded.version,
        loaded.node,
        loaded.folder.display(),
        if loaded.kept { "which is kept" } else { "which is removed at the end" },
    );
    left_out(&mut text, &loaded.left_out);
    text
}
