//! `couchcopy serve`: archives as a CouchDB that can only be read.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use inspect::documents;
use outcome::{Code, Failure, Result};
use serde::Serialize;
use serve::{Authentication, Cors, Options};

use crate::exit::Outcome;
use crate::output::{Output, error_line};
use crate::progress::Terminal;

/// The variable that holds the user's password where no file does.
const PASSWORD_VARIABLE: &str = "COUCHCOPY_SERVE_PASSWORD";

/// Serve archives over HTTP as a CouchDB that can only be read: for browsers, programs and replicators.
#[derive(Debug, Args)]
#[command(
    after_help = "The first archive is at /, each of them also below /_backup/archives/N/. http://HOST:PORT/_backup/ is a \
    page to look through them.\n\nServed are databases, documents with all revisions and attachments, _all_docs, _changes, \
    _bulk_get, _revs_diff, _find and what replication needs; a replicator's checkpoints are kept in memory. Everything that \
    would write is refused, and there are no views: `couchcopy load` starts a CouchDB on an archive.\n\nAn archive without \
    manifest (of the Python couchcopy, or of tar) is read once before anything is answered. Ctrl-C or SIGTERM ends the \
    server.\n\nExamples:\n  couchcopy serve backup.tar.gz\n  couchcopy serve monday.tar.gz tuesday.tar.gz --port 0\n  \
    couchcopy serve backup.tar.gz --bind 0.0.0.0 --user reader --password-file password.txt"
)]
pub(crate) struct Serve {
    /// The archives.
    #[arg(required = true, value_name = "ARCHIVE")]
    archives: Vec<PathBuf>,

    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 5984, value_name = "PORT")]
    port: u16,

    /// The address to listen on. What is not of this machine alone wants --user, or --without-password.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: IpAddr,

    /// Let pages of this origin read, e.g. https://app.example.com; * lets all. May be given several times.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,

    /// Answer this user only. The password comes from --password-file, or from COUCHCOPY_SERVE_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// A file with the user's password in its first line.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,

    /// Answer everybody who reaches the address, also from other machines.
    #[arg(long, conflicts_with = "user")]
    without_password: bool,

    /// Show this database only. May be given several times.
    #[arg(long, value_name = "DB")]
    only: Vec<String>,
}

/// Where it answers, as `--json` prints it.
#[derive(Serialize)]
struct Listening {
    url: String,
    page: String,
    archives: Vec<String>,
}

/// Serves until it is asked to end.
pub(crate) fn serve(
    command: &Serve,
    threads: usize,
    output: &Output,
    reporter: &Terminal,
    quiet: bool,
) -> Result<Outcome> {
    let authentication = authentication(command)?;
    if authentication.is_none() && !command.bind.is_loopback() && !command.without_password {
        return Err(Failure::refused(
            Code::new("CC-X16"),
            format!("everybody who reaches {} could read the archives", command.bind),
            "Give a user with --user NAME --password-file FILE, or --without-password if everybody may.",
        ));
    }
    let only = (!command.only.is_empty()).then(|| command.only.clone());
    let open = |path: &PathBuf| documents::open(path, only.clone(), threads, reporter);
    let options = Options {
        bind: command.bind,
        port: command.port,
        cors: (!command.cors.is_empty()).then(|| Cors { origins: command.cors.clone() }),
        authentication,
        only: only.clone(),
        // Browsers and replicators tell little of what a server tells them.
        on_problem: Arc::new(error_line),
        archives: command.archives.iter().map(open).collect::<Result<_>>()?,
    };
    reporter.end();
    let on_listening = |address: SocketAddr| {
        let url = format!("http://{address}/");
        let names = options.archives.iter().map(|archive| archive.name().to_owned()).collect();
        let listening = Listening { page: format!("{url}_backup/"), url, archives: names };
        if output.json {
            // One line: whoever reads it does not have to wait for the end.
            output.print_line(&listening);
        } else if !quiet {
            output.print(&listening, |told| format!("{}\n{}\n", told.url, told.page));
        }
    };
    serve::run(&options, on_listening, serve::interrupted())?;
    Ok(Outcome::Done)
}

fn authentication(command: &Serve) -> Result<Option<Authentication>> {
    let Some(name) = &command.user else { return Ok(None) };
    if name.is_empty() || name.contains(':') {
        return Err(Failure::refused(
            Code::new("CC-X17"),
            "the user's name is empty or has a colon, which no client can send".to_owned(),
            "Choose another name.",
        ));
    }
    let password = match &command.password_file {
        Some(file) => first_line(file)?,
        None => std::env::var(PASSWORD_VARIABLE).unwrap_or_default(),
    };
    if password.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-X18"),
            format!("there is no password for {name}"),
            format!(
                "Put it into the first line of a file and give that as --password-file, or set {PASSWORD_VARIABLE}."
            ),
        ));
    }
    Ok(Some(Authentication { name: name.clone(), password }))
}

fn first_line(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).map_err(|e| Failure::io("read", file, e))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
