//! `couchcopy doctor`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use backup::{Diagnosis, DoctorOptions, Finding, FindingSeverity, doctor};
use clap::{Args, ValueEnum};
use outcome::{Failure, Result, printable};

use super::backup::folders;
use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::session::Session;
use crate::text::problems::PROBLEMS_SHOWN;
use crate::text::sizes::{bytes, count};

/// Examine the files of a cluster without a backup, and explain how to fix what is wrong.
///
/// couchcopy compares the shard maps with the files on every node, and the copies of every range with each other.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Changes nothing on the nodes. CouchDB may run or be stopped. A node is written as HOST,DATA_DIR or \
    HOST,DATA_DIR,NODENAME; a data directory of this machine can be written as its path. Name all nodes of the cluster: copies on \
    other nodes are not examined.\n\n\
    Without --deep, couchcopy reads the header of every file. With --deep, it reads everything, as `couchcopy verify` does with \
    an archive; --limit-rate limits how fast.\n\n\
    A running CouchDB changes its files all the time. couchcopy looks at everything that it finds a second time, after a pause, \
    and reports only what is still there.\n\n\
    docs/doctor.md lists all findings. The command exits with 0 if nothing is wrong, with 3 if there are findings (see \
    --fail-on), and with another code if the nodes could not be examined.\n\n\
    Examples:\n  \
    couchcopy doctor --cluster prod.toml\n  \
    couchcopy doctor --deep --limit-rate 20M db1,/opt/couchdb/data \\\n    db2,/opt/couchdb/data db3,/opt/couchdb/data\n  \
    couchcopy doctor --pause 0 /mnt/db1/data /mnt/db2/data"
)]
pub(crate) struct Doctor {
    /// Nodes, each as HOST,DATA_DIR[,NODENAME], paths of data directories on this machine, or names from the --cluster file.
    ///
    /// Defaults to all nodes of the cluster in the --cluster file or in the configuration file.
    #[arg(value_name = "NODE")]
    names: Vec<String>,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    examination: ExaminationFlags,
}

/// What is examined, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Examination")]
struct ExaminationFlags {
    /// Check trees, bodies and attachments of every copy, and compare copies document by document.
    ///
    /// Copies on other machines are fetched completely into temporary files on this machine, those of one range at a time.
    #[arg(long)]
    deep: bool,

    /// Wait this long before looking again at what was found.
    ///
    /// CouchDB's internal replication starts five seconds after a change. If all nodes are stopped, 0 is enough.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pause: u64,

    /// Exit with 3 only for findings of this severity or above.
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Warning)]
    fail_on: FailOn,
}

/// Which findings count for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Errors.
    Error,
    /// Errors and warnings.
    Warning,
    /// Everything.
    Note,
}

impl Doctor {
    /// Whether the command line names nodes or a cluster.
    pub(super) fn has_nodes(&self) -> bool {
        !self.names.is_empty() || self.access.cluster.is_some()
    }

    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let names: Vec<String> = self.names.iter().map(|name| of_path(name)).collect::<Result<_>>()?;
        // The plugins have to live as long as the nodes.
        let (folders, _plugins) = folders(&names, &self.access, None, session)?;
        let options = DoctorOptions {
            folders,
            deep: self.examination.deep,
            limit_rate: session.limit_rate(),
            pause: Duration::from_secs(self.examination.pause),
            temporary_folder: std::env::temp_dir(),
            threads: session.threads(),
        };
        let diagnosis = doctor(&options, session.reporter())?;
        session.answer(&diagnosis, text);
        let severity = match self.examination.fail_on {
            FailOn::Error => FindingSeverity::Error,
            FailOn::Warning => FindingSeverity::Warning,
            FailOn::Note => FindingSeverity::Note,
        };
        Ok(Outcome::of(diagnosis.is_free_of(severity)))
    }
}

/// The node argument of a data directory on this machine that is given as a path; any other argument as it is.
fn of_path(name: &str) -> Result<String> {
    if !name.starts_with(['/', '.']) {
        return Ok(name.to_owned());
    }
    let (path, node) = name.split_once(',').map_or((name, None), |(path, node)| (path, Some(node)));
    let path = std::path::absolute(path).map_err(|e| Failure::io("find", path, e))?;
    let path = path.display();
    Ok(match node {
        Some(node) => format!("localhost,{path},{node}"),
        None => format!("localhost,{path}"),
    })
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    let mut by_kind: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
    for finding in &diagnosis.findings {
        by_kind.entry((finding.severity, finding.kind)).or_default().push(finding);
    }
    for ((severity, kind), findings) in by_kind {
        let all = diagnosis.counts.get(kind.id()).copied().unwrap_or(0);
        let _ = writeln!(text, "{severity}  {kind}: {}", count(all, "finding", "findings"));
        table(&mut text, &findings);
        if all > PROBLEMS_SHOWN as u64 {
            let _ = writeln!(text, "  … and {} more (--json lists them)", all - PROBLEMS_SHOWN as u64);
        }
        if let Some(first) = findings.first() {
            let _ = writeln!(text, "  -> {}", printable(&first.remedy));
        }
    }
    let _ = writeln!(
        text,
        "{} on {}: {} of shards{}, {}",
        count(diagnosis.databases, "database", "databases"),
        count(diagnosis.nodes.len() as u64, "node", "nodes"),
        count(diagnosis.copies, "copy", "copies"),
        if diagnosis.deep { format!(" ({} checked)", bytes(diagnosis.checked_bytes)) } else { String::new() },
        count(diagnosis.indexes, "view index", "view indexes"),
    );
    if diagnosis.leftover_bytes > 0 {
        let _ = writeln!(text, "Files that CouchDB does not use take {}.", bytes(diagnosis.leftover_bytes));
    }
    if diagnosis.unsettled_ranges > 0 {
        let n = count(diagnosis.unsettled_ranges, "range", "ranges");
        let _ = writeln!(
            text,
            "The copies of {n} could not be compared: CouchDB compacted them. Try again later."
        );
    }
    text.push_str(&conclusion(diagnosis));
    text
}

fn conclusion(diagnosis: &Diagnosis) -> String {
    let Diagnosis { errors, warnings, notes, .. } = diagnosis;
    if errors + warnings + notes == 0 {
        return "Nothing is wrong.\n".to_owned();
    }
    let found = [
        count(*errors, "error", "errors"),
        count(*warnings, "warning", "warnings"),
        count(*notes, "note", "notes"),
    ];
    format!("Found: {}.\n", found.join(", "))
}

/// The findings of a kind, one a line, in columns as wide as they need to be.
fn table(text: &mut String, findings: &[&Finding]) {
    let shown = findings.iter().take(PROBLEMS_SHOWN);
    let cells = |finding: &Finding| -> [String; 4] {
        let cell = |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), printable);
        let room = finding.bytes.map_or_else(String::new, |taken| format!(", {}", bytes(taken)));
        let found = format!("{}{room}", printable(&finding.found));
        [cell(&finding.node), cell(&finding.database), cell(&finding.range), found]
    };
    let heading = ["NODE", "DATABASE", "RANGE", "FOUND"].map(str::to_owned);
    let rows: Vec<[String; 4]> =
        std::iter::once(heading).chain(shown.map(|finding| cells(finding))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (node, database, range) = (width(0), width(1), width(2));
    for [a, b, c, found] in &rows {
        let _ = writeln!(text, "  {a:<node$}  {b:<database$}  {c:<range$}  {found}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_node_of_this_machine() {
        assert_eq!(of_path("/a/b").unwrap(), "localhost,/a/b");
        assert_eq!(of_path("/a/b,couchdb@x").unwrap(), "localhost,/a/b,couchdb@x");
        assert!(of_path("./a").unwrap().starts_with("localhost,/"));
        assert_eq!(of_path("db1,/a").unwrap(), "db1,/a");
    }

    #[test]
    fn a_healthy_cluster_is_told_in_two_lines() {
        let diagnosis = Diagnosis { nodes: vec!["a@b".into()], databases: 2, ..Diagnosis::default() };
        let text = text(&diagnosis);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.starts_with("2 databases on 1 node: ") && text.ends_with("Nothing is wrong.\n"),
            "{text}"
        );
    }
}
