//! Starts the CouchDB of this machine on an archive's data, to inspect it or to experiment with it, and removes everything
//! afterwards.
//!
//! Everything is in a private directory: the data (restored for one node with a unique name), the configuration, the log. The
//! CouchDB listens on one port of the loopback interface and nowhere else, not even for other Erlang nodes. Everything that
//! CouchDB does on its own is switched off, so that production replications do not start.

mod error;
mod folder;
mod installation;
mod leftovers;
mod listening;
mod process;
mod settings;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use contents::FileProblem;
use couchfile::writer::random_uuid;
use folder::PrivateFolder;
use node::{Credentials, Endpoint, Http, encode};
use outcome::report::Reporter;
use outcome::{Code, Failure, Result};
use restore::RestoreChoices;
use restore::folders::{Lasting, RestoreOptions, RestoreResult, Suffixes, Target, restore_folders};
use serde::Serialize;

use crate::load::error::CouchDbEnded;

pub use installation::Installation;
use process::Process;
use settings::Settings;
use store::Place;

/// The default name of the server admin.
const ADMIN: &str = "admin";
/// How long CouchDB may take until it answers. It takes seconds, or longer with very many databases.
const START: Duration = Duration::from_secs(300);
/// Pauses between two checks of CouchDB while it starts, and while it runs.
const STARTING: Duration = Duration::from_millis(20);
const RUNNING: Duration = Duration::from_millis(100);

/// The options of a load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The archive.
    pub archive: Place,
    /// Directory of the installed CouchDB; `None`: couchcopy searches for it.
    pub couchdb: Option<PathBuf>,
    /// The directory in which the private directory is created.
    pub temporary: PathBuf,
    /// Whether to keep the private directory.
    pub keep: bool,
    /// Port; `None`: any free one.
    pub port: Option<u16>,
    /// Name of the server admin, and the password; `None`: a random one.
    pub admin: (Option<String>, Option<String>),
    /// Whether web pages of any origin may send requests.
    pub cors: bool,
    /// Whether to leave out databases with damaged or missing shards. If not, the load fails.
    pub skip_damaged: bool,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
}

/// A CouchDB that answers.
#[derive(Debug, Clone, Serialize)]
pub struct Loaded {
    /// The URL, without name and password.
    pub url: String,
    /// Name of the server admin.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether couchcopy generated the password, so that the user does not know it yet.
    #[serde(skip)]
    pub password_is_new: bool,
    /// The id of CouchDB's process.
    pub pid: u32,
    /// The private directory.
    pub folder: PathBuf,
    /// The node's name.
    pub node: String,
    /// CouchDB's version.
    pub version: String,
    /// Number of databases.
    pub databases: u64,
    /// Databases that were left out, and why.
    pub left_out: Vec<FileProblem>,
    /// View indexes that were left out. CouchDB rebuilds them.
    pub views_left_out: Vec<FileProblem>,
    /// Whether the private directory is kept.
    pub kept: bool,
}

impl Loaded {
    /// The URL with the name and, if couchcopy generated it, the password.
    pub fn url_with_user(&self) -> String {
        let mut user = encode(&self.user);
        if self.password_is_new {
            user.push(':');
            user.push_str(&encode(&self.password));
        }
        self.url.replacen("://", &format!("://{user}@"), 1)
    }
}

/// Loads an archive, calls `answers` when CouchDB answers, and waits until the reporter is interrupted. Afterwards, and after any
/// failure, CouchDB is stopped and its directory removed.
///
/// Fails if no CouchDB is installed, if the archive cannot be restored completely, or if CouchDB ends on its own.
pub fn load(options: &LoadOptions, reporter: &dyn Reporter, answers: &mut dyn FnMut(&Loaded)) -> Result<()> {
    let couchdb = Installation::find(options.couchdb.as_deref())?;
    if let Some(port) = options.port {
        check_port(port)?;
    }
    let admin = admin(&options.admin)?;
    leftovers::remove(&options.temporary, reporter)?;
    let folder = PrivateFolder::create(&options.temporary, options.keep)?;
    let node = format!("couchcopy-load-{}@127.0.0.1", &random()?[..8]);
    let restored = unpack(options, &couchdb, &folder, &node, reporter)?;

    reporter.phase("starting CouchDB", None);
    let begun = Instant::now();
    Settings { folder: folder.path(), node: &node, admin: &admin, port: options.port, cors: options.cors }
        .write()?;
    let mut process = Process::start(&couchdb, &folder)?;
    let loaded = wait_until_up(options, &folder, &mut process, &admin, node, restored, reporter)?;
    reporter.timing("CouchDB started", begun.elapsed().as_secs_f64());
    answers(&loaded);
    while !reporter.is_interrupted() {
        if let Some(ended) = process.ended()? {
            return Err(died(&folder, &ended, &admin));
        }
        std::thread::sleep(RUNNING);
    }
    process.stop()?;
    folder.remove()
}

/// Name and password of the server admin, and whether the password is new.
struct Admin {
    credentials: Credentials,
    is_new: bool,
}

fn admin((user, password): &(Option<String>, Option<String>)) -> Result<Admin> {
    let user = user.clone().unwrap_or_else(|| ADMIN.to_owned());
    let is_new = password.is_none();
    let password = match password {
        Some(password) => password.clone(),
        None => random()?,
    };
    settings::check_admin(&user, &password)?;
    Ok(Admin { credentials: Credentials { user, password }, is_new })
}

/// 32 random hexadecimal digits.
fn random() -> Result<String> {
    random_uuid().map_err(|e| Failure::io("ask the system for", "random bytes", std::io::Error::other(e)))
}

/// Restores the archive for one node.
fn unpack(
    options: &LoadOptions,
    couchdb: &Installation,
    folder: &PrivateFolder,
    node: &str,
    reporter: &dyn Reporter,
) -> Result<RestoreResult> {
    let restore = RestoreOptions {
        archive: options.archive.clone(),
        targets: vec![Target { folder: folder.data(), node: node.to_owned() }],
        choices: RestoreChoices {
            copies: Some(1),
            suffixes: Suffixes::Keep,
            allow_empty: true,
            skip_damaged: options.skip_damaged,
            ..RestoreChoices::default()
        },
        for_couchdb: couchdb.version(),
        threads: options.threads,
    };
    let restored = restore_folders(&restore, Lasting::ForNow, reporter);
    // Whatever an interruption made fail.
    if reporter.is_interrupted() { Err(Failure::interrupted()) } else { restored }
}

fn wait_until_up(
    options: &LoadOptions,
    folder: &PrivateFolder,
    process: &mut Process,
    admin: &Admin,
    node: String,
    restored: RestoreResult,
    reporter: &dyn Reporter,
) -> Result<Loaded> {
    let begun = Instant::now();
    let mut http: Option<Http> = None;
    loop {
        if reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        if let Some(ended) = process.ended()? {
            return Err(died(folder, &ended, admin));
        }
        if let Some(http) = &http
            && http.is_up_soon().unwrap_or(false)
        {
            break;
        }
        if http.is_none()
            && let Some(port) =
                folder.port().or_else(|| folder.tells_no_port().then(|| listening::port(process.pid()))?)
        {
            let endpoint = Endpoint { tls: false, host: Ipv4Addr::LOCALHOST.to_string(), port, ca: None };
            http = Some(Http::new(&endpoint, Some(admin.credentials.clone()), None, node.clone())?);
        }
        if begun.elapsed() > START {
            return Err(died(folder, "does not answer", admin));
        }
        std::thread::sleep(STARTING);
    }
    let Some(http) = http else { return Err(Failure::bug("an answer without an address")) };
    // One that took another folder for its own would be up, too, and empty.
    let maps = http.get("/_node/_local/_dbs")?;
    if maps["doc_count"].as_u64().is_none_or(|maps| maps < restored.databases) {
        return Err(Failure::bug(format!(
            "CouchDB has {} shard maps, but {} databases were restored",
            maps["doc_count"], restored.databases
        )));
    }
    Ok(Loaded {
        url: format!("{}/", http.url()),
        user: admin.credentials.user.clone(),
        password: admin.credentials.password.clone(),
        password_is_new: admin.is_new,
        pid: process.pid(),
        folder: folder.path().to_owned(),
        node,
        version: http.version()?.text,
        databases: restored.databases,
        left_out: restored.left_out,
        views_left_out: restored.views_left_out,
        kept: options.keep,
    })
}

/// The error if CouchDB ended or does not start. Its log may contain its configuration.
fn died(folder: &PrivateFolder, problem: &str, admin: &Admin) -> Failure {
    let log = folder.log_end().replace(&admin.credentials.password, "…");
    CouchDbEnded { problem: problem.to_owned(), log }.into()
}

/// Refuses a port that is in use.
fn check_port(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(e) => Err(Failure::refused(
            Code::new("CC-L06"),
            format!("cannot bind port {port}: {e}"),
            "Choose another port, or omit --port to use any free one.",
        )),
    }
}
