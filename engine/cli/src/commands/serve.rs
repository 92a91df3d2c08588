//! `couchcopy serve`.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use operations::Listener;
use outcome::report::{Notice, Reporter as _, Severity};
use outcome::{Code, Failure, Result};
use serde::Serialize;
use serve::{Authentication, Cors, Options, Served};
use store::Location;

use crate::exit::Outcome;
use crate::flags::moment::MomentFlags;
use crate::flags::store::location;
use crate::output::error_line;
use crate::served::answer_of_places;
use crate::session::Session;

/// The environment variable that holds the user's password if no file does.
const PASSWORD_VARIABLE: &str = "COUCHCOPY_SERVE_PASSWORD";

/// Serve archives and repositories over HTTP as a read-only CouchDB.
///
/// Browsers, programs and replicators can read from it.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The first archive is at /. Each archive is also below /_backup/archives/N/. http://HOST:PORT/_backup/ is a page to \
    browse the archives: a database as of any backup, and the versions of a document over time.\n\n\
    A repository is served with all its backups: the newest complete backup like an archive, and each backup ID below \
    /_backup/archives/N~ID/. Backups are opened when they are requested. With --at TIME, or as REPO::ID, one backup is served.\n\n\
    The server offers databases, documents with all revisions and attachments, _all_docs, _changes, _bulk_get, _revs_diff, \
    _find and what replication needs; a replicator's checkpoints are kept in memory. It refuses every write, and it has no \
    views: `couchcopy load` starts a CouchDB with an archive's data.\n\n\
    An archive without a manifest (made by the Python couchcopy or by tar) is read once before the server answers. Ctrl-C or \
    SIGTERM stops the server.\n\n\
    Examples:\n  \
    couchcopy serve backup.tar.gz\n  \
    couchcopy serve monday.tar.gz tuesday.tar.gz --port 0\n  \
    couchcopy serve /mnt/backups\n  \
    couchcopy serve backup.tar.gz --bind 0.0.0.0 \\\n    --user reader --password-file password.txt"
)]
pub(crate) struct Serve {
    /// The archives, repositories, or backups in repositories (REPO::ID).
    #[arg(required = true, value_name = "ARCHIVE", value_parser = location())]
    archives: Vec<Location>,

    /// Port to listen on; 0 takes any free port.
    #[arg(long, default_value_t = 5984, value_name = "PORT")]
    port: u16,

    /// Address to listen on. A non-loopback address requires --user or --without-password.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: IpAddr,

    /// Allow web pages of this origin to read. Can be repeated.
    ///
    /// For example https://app.example.com; * allows all origins.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,

    /// Answer only this user.
    ///
    /// The password comes from --password-file or COUCHCOPY_SERVE_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// File with the user's password in its first line.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,

    /// Answer everybody who reaches the address, also from other machines.
    #[arg(long, conflicts_with = "user")]
    without_password: bool,

    /// Answer Prometheus at http://ADDRESS:PORT/metrics, for the repositories that are served.
    ///
    /// The figures are those of `couchcopy health --metrics`, found out at most once a minute.
    #[arg(long, value_name = "ADDRESS:PORT", hide_short_help = true)]
    metrics_listen: Option<SocketAddr>,

    /// Serve only the database with this name. Can be repeated.
    #[arg(long, value_name = "DB")]
    only: Vec<String>,

    #[command(flatten)]
    moment: MomentFlags,
}

/// Where the server answers, as `--json` prints it.
#[derive(Serialize)]
struct Listening {
    url: String,
    page: String,
    archives: Vec<String>,
}

impl Serve {
    /// Serves until a signal stops the server.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let authentication = self.authentication()?;
        if authentication.is_none() && !self.bind.is_loopback() && !self.without_password {
            return Err(Failure::refused(
                Code::new("CC-X16"),
                format!("everybody who reaches {} could read the archives", self.bind),
                "Add --user NAME --password-file FILE, or --without-password if everybody may read them.",
            ));
        }
        if !self.moment.at_seq.is_empty() && (self.archives.len(), self.only.len()) != (1, 1) {
            return Err(Failure::refused(
                Code::new("CC-X27"),
                "--at-seq gives the sequence of one database, but several are served",
                "Name one archive, and add --only DB.",
            ));
        }
        let only = (!self.only.is_empty()).then(|| self.only.clone());
        let open = |archive: &Location| {
            let (place, at) = self.moment.of(session.place(archive)?)?;
            Served::open(&place, only.clone(), at, session.threads(), session.reporter())
        };
        let options = Options {
            bind: self.bind,
            port: self.port,
            cors: (!self.cors.is_empty()).then(|| Cors { origins: self.cors.clone() }),
            authentication,
            only: only.clone(),
            // Browsers and replicators show little of the messages that a server sends them.
            on_problem: Arc::new(error_line),
            archives: self.archives.iter().map(open).collect::<Result<_>>()?,
            flags: session.reading_flags(),
        };
        let metrics = self.metrics(session)?;
        session.reporter().end();
        let on_listening = |address: SocketAddr| {
            let url = format!("http://{address}/");
            let archives = options.archives.iter().map(Served::name).collect();
            let listening = Listening { page: format!("{url}_backup/"), url, archives };
            session.summary_line(&listening, |listening| format!("{}\n{}\n", listening.url, listening.page));
        };
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if let Some((listener, places)) = &metrics {
                scope.spawn(|| answer_of_places(listener, session, places, &ended));
            }
            let served = serve::run(&options, on_listening, serve::interrupted());
            ended.store(true, Ordering::Relaxed);
            served
        })?;
        Ok(Outcome::Done)
    }

    /// Where metrics are answered, and of which places.
    fn metrics(&self, session: &Session) -> Result<Option<(Listener, Vec<Location>)>> {
        let Some(address) = self.metrics_listen else { return Ok(None) };
        let mut places = Vec::new();
        for archive in &self.archives {
            if contents::is_repository(&session.place(archive)?)? {
                places.push(archive.clone());
            }
        }
        if places.is_empty() {
            return Err(Failure::refused(
                Code::new("CC-M12"),
                "--metrics-listen reports on repositories, and none is served",
                "Name the repository without an id, or leave --metrics-listen out.",
            ));
        }
        let listener = Listener::bind(address)?;
        let text = format!("metrics are at http://{}/metrics", listener.address()?);
        session.reporter().notice(&Notice { severity: Severity::Info, text });
        Ok(Some((listener, places)))
    }

    fn authentication(&self) -> Result<Option<Authentication>> {
        let Some(name) = &self.user else { return Ok(None) };
        if name.is_empty() || name.contains(':') {
            return Err(Failure::refused(
                Code::new("CC-X17"),
                "the user's name is empty or contains a colon, which no client can send",
                "Choose another name.",
            ));
        }
        let password = match &self.password_file {
            Some(file) => first_line(file)?,
            None => std::env::var(PASSWORD_VARIABLE).unwrap_or_default(),
        };
        if password.is_empty() {
            return Err(Failure::refused(
                Code::new("CC-X18"),
                format!("there is no password for {name}"),
                format!(
                    "Write it into the first line of a file and name the file with --password-file, or set {PASSWORD_VARIABLE}."
                ),
            ));
        }
        Ok(Some(Authentication { name: name.clone(), password }))
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).map_err(|e| Failure::io("read", file, e))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
