//! Lists the states of the files of a database.

use std::fmt::Write as _;
use std::io::Write;

use contents::unusable;
use couchfile::header::Epoch;
use couchfile::states::{Reach, State};
use couchfile::time_table::TimeTable;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result};
use serde::Serialize;
use store::Place;

use super::copies::{Copies, Lineage};
use super::places::Places;
use super::time_text;
use crate::documents::write;

/// Damaged headers that are reported one by one.
const REPORTED: u64 = 20;

/// How the states of a database are listed.
#[derive(Debug, Clone, Default)]
pub struct HistoryOptions {
    /// The most states of each file, the newest ones.
    pub limit: Option<u64>,
    /// One JSON object per line.
    pub json: bool,
}

/// A state, as `--json` prints it.
#[derive(Serialize)]
struct Line<'l> {
    shard: &'l str,
    backup: &'l str,
    sequence: u64,
    documents: u64,
    deleted: u64,
    offset: u64,
    epochs: Vec<EpochLine<'l>>,
    /// When CouchDB had reached it, according to the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The backups of which it is the newest state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    saved: Vec<Saved>,
}

#[derive(Serialize)]
struct EpochLine<'l> {
    node: &'l str,
    sequence: u64,
}

#[derive(Serialize)]
struct Saved {
    backup: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<String>,
}

/// The end of a list, as `--json` prints it.
#[derive(Serialize)]
struct End<'l> {
    shard: &'l str,
    backup: &'l str,
    /// The sequence of the oldest state.
    oldest: u64,
    /// `creation` or `compaction`; missing if the list was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    begins_with: Option<&'static str>,
    states: u64,
}

/// Writes the states of every file of a database, from the newest one back. `db` is `None` if the place is a `.couch` file.
/// Returns the number of damaged headers, which are reported.
pub fn database_history(
    place: &Place,
    db: Option<&str>,
    options: &HistoryOptions,
    threads: usize,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<u64> {
    let places = Places::open(place, db, threads)?;
    let copies = Copies::of(&places);
    let mut damaged = 0;
    for (i, lineage) in places.lineages(&copies, None, reporter)?.iter().enumerate() {
        if i > 0 && !options.json {
            write(out, b"\n")?;
        }
        let mut list = List { copies: &copies, lineage, options, reporter, out: &mut *out };
        damaged += list.write(reporter)?;
    }
    Ok(damaged)
}

struct List<'l> {
    copies: &'l Copies<'l>,
    lineage: &'l Lineage,
    options: &'l HistoryOptions,
    reporter: &'l dyn Reporter,
    out: &'l mut dyn Write,
}

impl List<'_> {
    fn write(&mut self, reporter: &dyn Reporter) -> Result<u64> {
        let (copies, lineage) = (self.copies, self.lineage);
        let path = lineage.copy.path.as_str();
        let backup = copies.name_of(lineage.copy.backup);
        if !self.options.json {
            let of = if backup == path { String::new() } else { format!(" in {backup}") };
            let heading = format!(
                "{path}{of}\n{:>12} {:>11} {:>9} {:>14}\n",
                "sequence", "documents", "deleted", "offset"
            );
            write(self.out, heading.as_bytes())?;
        }
        copies.with(&lineage.copy, reporter, |file| {
            let times = file.time_table().unwrap_or_default();
            let mut states = file.states();
            let (mut listed, mut damaged, mut oldest) = (0, 0, file.header().update_seq);
            let mut epochs: Option<Vec<Epoch>> = None;
            while self.options.limit.is_none_or(|limit| listed < limit)
                && let Some(state) = states.next()
            {
                let state = match state {
                    Ok(state) => state,
                    Err(e) if e.is_io() => return Err(unusable(path, e)),
                    Err(e) => {
                        damaged += 1;
                        if damaged <= REPORTED {
                            let text = format!("{path} in {backup}: {e}");
                            self.reporter.notice(&Notice { severity: Severity::Problem, text });
                        }
                        continue;
                    }
                };
                let is_new = epochs.as_ref() != Some(&state.header.epochs);
                self.line(&state, path, &backup, &times, is_new)?;
                epochs = Some(state.header.epochs.clone());
                oldest = state.seq();
                listed += 1;
            }
            let reach = if listed > 0 && self.options.limit == Some(listed) { None } else { states.reach() };
            self.end(path, &backup, oldest, listed, reach)?;
            Ok(damaged)
        })
    }

    fn line(
        &mut self,
        state: &State,
        path: &str,
        backup: &str,
        times: &TimeTable,
        shows_epochs: bool,
    ) -> Result<()> {
        let (documents, deleted) = state.counts().map_err(|e| unusable(path, e))?;
        let marks = self.lineage.marks.iter().filter(|mark| mark.offset == state.offset);
        let saved: Vec<Saved> = marks
            .map(|mark| Saved {
                backup: self.copies.name_of(mark.backup),
                begun: self.copies.begun(mark.backup).map(str::to_owned),
            })
            .collect();
        let since = times.since(state.seq()).and_then(time_text);
        let epochs = &state.header.epochs;
        if self.options.json {
            let epochs =
                epochs.iter().map(|Epoch { node, seq }| EpochLine { node, sequence: *seq }).collect();
            let line = Line {
                shard: path,
                backup,
                sequence: state.seq(),
                documents,
                deleted,
                offset: state.offset,
                epochs,
                since,
                saved,
            };
            return self.json(&line);
        }
        let mut text = format!("{:>12} {documents:>11} {deleted:>9} {:>14}", state.seq(), state.offset);
        if let Some(since) = since {
            let _ = write!(text, "  not before {since}");
        }
        for Saved { backup, begun } in &saved {
            if let Some(begun) = begun {
                let _ = write!(text, "  saved by {backup}, begun {begun}");
            }
        }
        if shows_epochs && !epochs.is_empty() {
            let epochs: Vec<String> =
                epochs.iter().map(|epoch| format!("{} from {}", epoch.node, epoch.seq)).collect();
            let _ = write!(text, "  written by {}", epochs.join(", "));
        }
        text.push('\n');
        write(self.out, text.as_bytes())
    }

    fn end(
        &mut self,
        path: &str,
        backup: &str,
        oldest: u64,
        states: u64,
        reach: Option<Reach>,
    ) -> Result<()> {
        if self.options.json {
            let begins_with = reach.map(|reach| match reach {
                Reach::Creation => "creation",
                Reach::Rewritten => "compaction",
            });
            return self.json(&End { shard: path, backup, oldest, begins_with, states });
        }
        let text = match reach {
            None => return Ok(()),
            Some(Reach::Creation) => "The file reaches back to the creation of the database.\n".to_owned(),
            Some(Reach::Rewritten) => format!(
                "The file reaches back to sequence {oldest}. A compaction, or whatever wrote the file, removed what was before.\n"
            ),
        };
        write(self.out, text.as_bytes())
    }

    fn json(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|e| Failure::bug(e.to_string()))?;
        text.push(b'\n');
        write(self.out, &text)
    }
}
