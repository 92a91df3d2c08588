//! Carries out `couchcopy load`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use load::load::{LoadOptions, Loaded};
use outcome::Result;

use crate::commands::problems_text;
use crate::exit::Outcome;
use crate::interrupt;
use crate::output::{Output, count};
use crate::progress::Terminal;

/// Start the CouchDB of this machine on an archive's data, for a look or a try; Ctrl-C ends it without a trace.
#[derive(Debug, Args)]
#[command(
    after_help = "The archive is unpacked into a private folder, and CouchDB started on it: on one port of 127.0.0.1, under \
    a node name of its own, with a random password, whatever CouchDBs run beside it. Replications, compaction and everything \
    else that CouchDB does by itself are off, so that nothing that was at home in production starts here. What you write is \
    gone afterwards; the archive is only read.\n\nThe command runs until Ctrl-C or SIGTERM, or until CouchDB ends. If it is \
    killed, CouchDB ends too, and the next load removes the folder. Where no CouchDB is installed, `couchcopy serve` answers \
    from the archive itself.\n\nExamples:\n  couchcopy load backup.tar.gz\n  couchcopy load --admin anna:secret --port 5985 \
    --cors backup.tar.gz\n  couchcopy load --tmp-dir /var/tmp --json backup.tar.gz"
)]
pub(crate) struct Load {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,

    /// Folder of the installed CouchDB. Without it, that of COUCHDB_HOME, /opt/couchdb, or the `couchdb` in PATH.
    #[arg(long, value_name = "DIR")]
    couchdb: Option<PathBuf>,

    /// Name and password of the server admin. Without a password it is that of COUCHCOPY_PASSWORD, or else a random one, which
    /// is printed.
    #[arg(long, value_name = "USER[:PASSWORD]")]
    admin: Option<String>,

    /// Port on 127.0.0.1; without it, one that is free.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    port: Option<u16>,

    /// Let web pages from anywhere ask (CORS), for applications under development.
    #[arg(long)]
    cors: bool,

    /// Where the private folder is made. It takes the room of all databases.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    tmp_dir: PathBuf,

    /// Leave the private folder, with the data, the configuration and the log.
    #[arg(long)]
    keep: bool,

    /// Leave out databases that are damaged or incomplete in the archive, instead of refusing to load any.
    #[arg(long)]
    skip_damaged: bool,
}

/// Carries it out.
pub(crate) fn load(command: &Load, threads: usize, output: &Output, reporter: &Terminal) -> Result<Outcome> {
    reporter.heed(interrupt::flag_saying(if reporter.is_quiet() { "" } else { "stopping CouchDB …" })?);
    let (user, password) = match command.admin.as_deref().map(|admin| admin.split_once(':').ok_or(admin)) {
        None => (None, None),
        Some(Ok((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
        Some(Err(user)) => {
            let password = std::env::var("COUCHCOPY_PASSWORD").ok().filter(|password| !password.is_empty());
            (Some(user.to_owned()), password)
        }
    };
    let options = LoadOptions {
        archive: command.archive.clone(),
        couchdb: command.couchdb.clone(),
        temporary: command.tmp_dir.clone(),
        keep: command.keep,
        port: command.port,
        admin: (user, password),
        cors: command.cors,
        skip_damaged: command.skip_damaged,
        threads,
    };
    let mut complete = true;
    load::load::load(&options, reporter, &mut |loaded| {
        reporter.end();
        complete = loaded.left_out.is_empty();
        if !reporter.is_quiet() {
            output.print(loaded, text);
        }
    })?;
    Ok(Outcome::of(complete))
}

fn text(loaded: &Loaded) -> String {
    let mut text = format!(
        "{}\n{} in CouchDB {}; as {} in {}, {}. Ctrl-C ends it.\n",
        loaded.url_with_user(),
        count(loaded.databases, "database", "databases"),
        loaded.version,
        loaded.node,
        loaded.folder.display(),
        if loaded.kept { "which stays" } else { "which goes when this ends" },
    );
    if !loaded.left_out.is_empty() {
        let n = count(loaded.left_out.len() as u64, "database", "databases");
        let _ = writeln!(text, "LEFT OUT, damaged or incomplete in the archive: {n}");
        problems_text(&mut text, &loaded.left_out);
    }
    text
}
