//! Carries the commands out and prints what came of them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use backup::{BackupOptions, BackupResult, FolderArgument, backup};
use contents::{ConfigurationFile, Contents, FileProblem, NodeConfiguration};
use inspect::overview::{self, DatabaseListing, Overview};
use inspect::verify::{VerifyResult, verify};
use outcome::Result;
use plugin_host::printable;
use site::SiteNode;
use site::plugins::Plugins;

use crate::arguments::{Arguments, Backup, Command};
use crate::exit::Outcome;
use crate::output::{Output, bytes, count};
use crate::progress::Terminal;
use crate::{
    cluster, load_command, look_commands, plugin_commands, restore_commands, serve_command, unbrand_command,
};

/// Problems printed as text; `--json` has them all.
const PROBLEMS_SHOWN: usize = 50;

/// Carries the command out.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<Outcome> {
    let reporter = Arc::new(Terminal::new(arguments.quiet, arguments.verbose > 0, arguments.events));
    let outcome = carry_out(arguments, output, &reporter);
    reporter.end();
    outcome
}

fn carry_out(arguments: &Arguments, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let shared = reporter;
    let reporter = reporter.as_ref();
    let threads = arguments.threads;
    match &arguments.command {
        Command::Backup(command) => {
            // The plugins have to live as long as the nodes.
            let (options, _plugins) = backup_options(command, threads, output, shared)?;
            let result = backup(&options, reporter)?;
            reporter.end();
            if !arguments.quiet {
                output.print(&result, |result| backup_text(result, command));
            }
            Ok(Outcome::of(result.is_complete()))
        }
        Command::Restore(command) => restore_commands::restore(command, threads, output, shared),
        Command::Check(command) => restore_commands::check(command, output, shared),
        Command::Status(command) => restore_commands::tell_status(command, output, shared),
        Command::Clean(command) => restore_commands::remove_old(command, output, shared),
        Command::Load(command) => load_command::load(command, threads, output, reporter),
        Command::Unbrand(command) => unbrand_command::unbrand(command, threads, output, reporter),
        Command::Verify(command) => {
            let result = verify(&command.archive, threads, reporter)?;
            reporter.end();
            if !arguments.quiet {
                output.print(&result, verify_text);
            }
            Ok(Outcome::of(result.is_whole()))
        }
        Command::Info(command) => {
            let overview = overview::overview(&Contents::open(&command.archive, threads, reporter)?)?;
            reporter.end();
            output.print(&overview, info_text);
            Ok(Outcome::Done)
        }
        Command::Ls(command) => look_commands::ls(command, threads, output, reporter),
        Command::Get(command) => look_commands::get(command, threads, output, reporter),
        Command::Dump(command) => look_commands::dump(command, threads, reporter),
        Command::Completions(command) => look_commands::completions(command),
        Command::Cat(command) => {
            let mut out = std::io::stdout();
            look_commands::unless_closed(inspect::cat::cat(
                &command.archive,
                &command.name,
                threads,
                &mut out,
            ))
        }
        Command::Serve(command) => serve_command::serve(command, threads, output, reporter, arguments.quiet),
        Command::Service(command) => plugin_commands::service(command, output, shared),
        Command::Plugin(command) => plugin_commands::plugin(&command.action, output, shared),
    }
}

fn backup_options(
    command: &Backup,
    threads: usize,
    output: &Output,
    reporter: &Arc<Terminal>,
) -> Result<(BackupOptions, Option<Plugins>)> {
    let nodes =
        cluster::nodes_with_known_credentials(command.nodes(), &command.plugins, &command.http, output)?;
    let paths: Vec<PathBuf> = nodes.iter().map(SiteNode::data_folder).collect::<Result<_>>()?;
    // What is on this machine needs no plugins: setting them up would take longer than a small backup.
    let plugins = if nodes.iter().any(|node| !node.via.is_empty()) {
        Some(cluster::sandbox(Some(&command.plugins.grants), output, reporter)?)
    } else {
        None
    };
    let folder = |(node, path): (SiteNode, PathBuf)| {
        let (files, http) = match &plugins {
            Some(plugins) if !node.via.is_empty() => {
                let (files, http) = plugins.files(&node, cluster::tunnel(&command.http))?;
                (Some(Arc::from(files)), http)
            }
            _ => (None, node.direct_http()?),
        };
        Ok(FolderArgument { path, node: node.id.name, files, http: http.map(Arc::new), config: node.config })
    };
    let options = BackupOptions {
        folders: nodes.into_iter().zip(paths).map(folder).collect::<Result<_>>()?,
        archive: command.archive().to_owned(),
        overwrite: command.overwrite,
        level: command.level,
        threads,
        limits: command.limits,
        config: command.with_config.then(|| command.config_dir.clone()),
        mirror: command.rsync_reuse_dir.clone(),
        check: command.check,
        accept_empty_maps: command.accept_empty_maps,
    };
    Ok((options, plugins))
}

pub(crate) fn problems_text(text: &mut String, problems: &[FileProblem]) {
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        let _ = writeln!(text, "  {}: {}", problem.path, problem.problem);
    }
    if problems.len() > PROBLEMS_SHOWN {
        let _ = writeln!(text, "  … and {} more (--json tells all)", problems.len() - PROBLEMS_SHOWN);
    }
}

fn backup_text(result: &BackupResult, command: &Backup) -> String {
    let summary = &result.summary;
    let mut text = format!(
        "{}: {}, {}, {}; {} in {}\n",
        command.archive().display(),
        count(summary.databases, "database", "databases"),
        count(summary.shards, "shard", "shards"),
        count(summary.views, "view index", "view indexes"),
        bytes(result.content_bytes),
        bytes(result.archive_bytes)
    );
    for node in &summary.config {
        let _ = writeln!(text, "{}:", config_heading(node));
        for line in config_lines(node, |file| &file.path) {
            let _ = writeln!(text, "  {line}");
        }
        if !node.not_found.is_empty() {
            let _ = writeln!(text, "  not found: {}", printable(&node.not_found.join(", ")));
        }
    }
    if summary.surplus_shards > 0 {
        let n = count(summary.surplus_shards, "shard", "shards");
        let _ = writeln!(text, "{n} not needed: databases are in the middle of shard splitting");
    }
    for (db, ranges) in &summary.split_meanwhile {
        let _ = writeln!(text, "{db} was split while the backup ran; saved as {}", ranges.join(", "));
    }
    if !summary.left_out.is_empty() {
        let n = count(summary.left_out.len() as u64, "item", "items");
        let _ = writeln!(text, "not in the archive: {n}");
        for left in summary.left_out.iter().take(PROBLEMS_SHOWN) {
            let _ = writeln!(text, "  {}: {}", left.kind, printable(&left.to_string()));
        }
    }
    if !summary.problems.is_empty() {
        let n = count(summary.problems.len() as u64, "file", "files");
        let _ = writeln!(text, "NOT SAVED, damaged or missing on the nodes: {n}");
        problems_text(&mut text, &summary.problems);
    }
    if !summary.damaged.is_empty() {
        let n = count(summary.damaged.len() as u64, "shard", "shards");
        let _ = writeln!(text, "SAVED, but DAMAGED: {n}");
        problems_text(&mut text, &summary.damaged);
    }
    text
}

fn config_heading(node: &NodeConfiguration) -> String {
    let files = count(node.files.len() as u64, "configuration file", "configuration files");
    let secrets = if node.files.iter().all(|file| file.secrets.is_empty()) {
        "no secrets found in them"
    } else {
        "with SECRETS"
    };
    format!("{files} of {}, {secrets}", printable(&node.node))
}

/// One line per file.
fn config_lines(
    node: &NodeConfiguration,
    shown: impl Fn(&ConfigurationFile) -> &str,
) -> impl Iterator<Item = String> {
    node.files.iter().map(move |file| {
        let shown = printable(shown(file));
        match &file.secrets[..] {
            [] => shown,
            secrets => format!("{shown}  (secret: {})", printable(&secrets.join(", "))),
        }
    })
}

fn verify_text(result: &VerifyResult) -> String {
    let mut text = format!(
        "{}, {}, {}: {} and {} deleted, {} ({}), {}\n",
        count(result.databases, "database", "databases"),
        count(result.shards, "shard", "shards"),
        count(result.views, "view index", "view indexes"),
        count(result.documents, "document", "documents"),
        result.deleted,
        count(result.attachments, "attachment", "attachments"),
        bytes(result.attachment_bytes),
        count(result.bodies, "body", "bodies"),
    );
    if result.surplus_shards > 0 {
        let n = count(result.surplus_shards, "shard", "shards");
        let _ = writeln!(
            text,
            "{n} of databases in the middle of shard splitting hold the same documents as others and do not count."
        );
    }
    if !result.manifest {
        text.push_str("The archive has no manifest of its own hashes (it was not made by this couchcopy).\n");
    }
    for db in &result.deleted_meanwhile {
        let _ = writeln!(text, "{db} was deleted while the backup ran and will not be restored.");
    }
    if !result.unfit_views.is_empty() {
        let n = count(result.unfit_views.len() as u64, "view index", "view indexes");
        let _ = writeln!(text, "A restore will leave out {n}; CouchDB builds them anew:");
        problems_text(&mut text, &result.unfit_views);
    }
    if result.problems.is_empty() {
        text.push_str("The archive is whole.\n");
    } else {
        let n = count(result.problems.len() as u64, "problem", "problems");
        let _ = writeln!(text, "THE ARCHIVE IS NOT WHOLE: {n}");
        problems_text(&mut text, &result.problems);
    }
    text
}

fn info_text(info: &Overview) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "{what:<12}{value}");
    };
    line("made", info.date.as_deref().unwrap_or("(not told)"));
    line("by", info.made_by.as_deref().unwrap_or("(not told)"));
    line("nodes", &info.nodes.join(", "));
    line("databases", &info.databases.to_string());
    line("documents", &format!("{} and {} deleted", info.documents, info.deleted));
    line("files", &format!("{} shards, {} view indexes", info.shards, info.views));
    line("size", &bytes(info.content_bytes));
    line("manifest", if info.manifest { "yes" } else { "no (read in one pass)" });
    if info.problems > 0 {
        line("problems", &format!("{} shards are damaged or missing", info.problems));
    }
    if !info.deleted_meanwhile.is_empty() {
        line("deleted", &format!("while the backup ran: {}", info.deleted_meanwhile.join(", ")));
    }
    if !info.created_meanwhile.is_empty() {
        line("not in it", &format!("created while the backup ran: {}", info.created_meanwhile.join(", ")));
    }
    if info.surplus_shards > 0 {
        line(
            "splitting",
            &format!("{} shards hold the same documents as others and do not count", info.surplus_shards),
        );
    }
    for left in &info.left_out {
        line("left out", &printable(&format!("{}: {left}", left.kind)));
    }
    for node in &info.config {
        line("config", &config_heading(node));
        for file in config_lines(node, |file| &file.entry) {
            line("", &file);
        }
    }
    if info.ignored_files > 0 {
        line(
            "ignored",
            &count(info.ignored_files, "file that no backup needs", "files that no backup needs"),
        );
    }
    text
}

pub(crate) fn databases_text(listings: &[DatabaseListing]) -> String {
    let mut text =
        format!("{:>10} {:>8} {:>11} {:>4} {:>3}  database\n", "documents", "deleted", "size", "q", "n");
    for db in listings {
        let damaged = db.shards.iter().any(|shard| shard.problem.is_some());
        let _ = writeln!(
            text,
            "{:>10} {:>8} {:>11} {:>4} {:>3}  {}{}",
            db.documents,
            db.deleted,
            bytes(db.bytes),
            db.q,
            db.n,
            db.name,
            if damaged { "  (DAMAGED)" } else { "" }
        );
    }
    text
}

pub(crate) fn shards_text(db: &DatabaseListing) -> String {
    let mut text =
        format!("{:<17} {:>10} {:>8} {:>11} {:>6}  file\n", "range", "documents", "deleted", "size", "views");
    for shard in &db.shards {
        let _ = writeln!(
            text,
            "{:<17} {:>10} {:>8} {:>11} {:>6}  {}",
            shard.range,
            shard.documents,
            shard.deleted,
            bytes(shard.bytes),
            shard.views.len(),
            shard.file
        );
        if let Some(problem) = &shard.problem {
            let _ = writeln!(text, "    PROBLEM: {problem}");
        }
    }
    text
}
