//! Carries a rewind out.

mod document;
mod requests;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use node::Http;
use outcome::report::{Reporter, Steps};
use outcome::{Result, parallel};
use serde_json::json;
use snapshot::SnapshotDatabase;

use super::super::sender::{Sender, reason};
use super::super::target::Target;
use super::entries::Entry;
use super::note::{Done, Note};
use super::plan::PlannedRewind;
use super::report::{LISTED, RewindResult, Was};

/// Documents between two notes.
const GROUP: usize = 400;
/// Documents and bytes of a request, approximately.
const DOCUMENTS: usize = 100;
const BYTES: usize = 1 << 20;

impl PlannedRewind {
    /// Writes the documents of the plan. If that fails, or `interrupted` is set, what has been written so far stays, and the same
    /// command goes on. An interruption is not an error: the result is then not finished.
    pub fn carry_out(
        mut self,
        http: &Http,
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<RewindResult> {
        let begun = Instant::now();
        let steps = Steps::new(reporter);
        let database = self.database.clone();
        let sender = Sender::new(Target::new(http, &database), interrupted, &steps);
        reporter.phase(&format!("writing {database}"), Some(self.len()));
        let counts = Counts::default();
        let ended = self.groups(&sender, &counts, reporter);
        if let Err(error) = ended
            && !sender.gave_up()
        {
            return Err(error);
        }
        let (refused, refused_count) = sender.take_refused();
        let mut counts = counts.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        counts.edited_meanwhile.sort();
        Ok(RewindResult {
            url: http.url().to_owned(),
            finished: !sender.gave_up(),
            refused,
            refused_count,
            seconds: begun.elapsed().as_secs_f64(),
            database: self.database,
            ..counts
        })
    }

    fn groups(&mut self, sender: &Sender<'_>, counts: &Counts, reporter: &dyn Reporter) -> Result<()> {
        // What the interrupted rewind was doing when it ended.
        let before = self.note.clone();
        let mut work =
            Work { source: &self.source, sender, counts, before: &before, note: self.note.clone(), sent: 0 };
        work.all(self.entries.read()?, reporter)?;
        work.all(self.designs.read()?, reporter)?;
        sender.target.remove_local(super::note::ID)?;
        sender.step("note removed");
        Ok(())
    }
}

/// What was done so far, in the result's own form.
#[derive(Default)]
struct Counts(Mutex<RewindResult>);

impl Counts {
    fn with(&self, work: impl FnOnce(&mut RewindResult)) {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Somebody has edited a document in the meantime.
    fn edited(&self, id: &str) {
        self.with(|result| {
            result.edited_meanwhile_count += 1;
            if result.edited_meanwhile.len() < LISTED {
                result.edited_meanwhile.push(id.to_owned());
            }
        });
    }
}

struct Work<'w> {
    source: &'w SnapshotDatabase,
    sender: &'w Sender<'w>,
    counts: &'w Counts,
    /// The note of the interrupted rewind.
    before: &'w Note,
    note: Note,
    sent: u64,
}

/// A document of a request.
struct Item {
    id: String,
    text: Vec<u8>,
}

impl Work<'_> {
    fn all(&mut self, entries: impl Iterator<Item = Result<Entry>>, reporter: &dyn Reporter) -> Result<()> {
        let mut group = Vec::new();
        for entry in entries {
            let entry = entry?;
            self.sent += 1;
            if self.before.has_passed(&entry.id, entry.rev.as_deref()) && entry.was != Was::Conflicted {
                self.counts.edited(&entry.id);
                continue;
            }
            group.push(entry);
            if group.len() >= GROUP {
                self.group(&std::mem::take(&mut group))?;
                reporter.advance(self.sent, self.sender.bytes());
            }
        }
        if !group.is_empty() {
            self.group(&group)?;
        }
        reporter.advance(self.sent, self.sender.bytes());
        Ok(())
    }

    /// Writes some documents, with a note before.
    fn group(&mut self, entries: &[Entry]) -> Result<()> {
        self.sender.check_interrupted()?;
        self.note.pending = entries.iter().map(|entry| (entry.id.clone(), entry.rev.clone())).collect();
        // What the interrupted rewind may have written stays known, however often this one is interrupted.
        for (id, rev) in &self.before.pending {
            self.note.pending.entry(id.clone()).or_insert_with(|| rev.clone());
        }
        self.sender.target.put_local(super::note::ID, &self.note.to_json().into())?;
        self.sender.step("note written");
        let parts: Vec<&[Entry]> = entries.chunks(DOCUMENTS).collect();
        let done = parallel::all_at_once(&parts, |_, part| self.part(part));
        done.into_iter().collect::<Result<()>>()?;
        if let Some(last) = entries.last() {
            self.note.done = Some(Done::of(&last.id)).max(self.note.done.take());
        }
        Ok(())
    }

    fn part(&self, entries: &[Entry]) -> Result<()> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        for entry in entries {
            if entry.was == Was::New {
                let deletion = json!({"_id": entry.id, "_rev": entry.rev, "_deleted": true});
                items.push(Item { id: entry.id.clone(), text: deletion.to_string().into_bytes() });
            } else if entry.writes()
                && let Some(item) = self.written(entry)?
            {
                bytes += item.text.len();
                items.push(item);
            }
            if bytes >= BYTES {
                self.send(std::mem::take(&mut items), entries)?;
                bytes = 0;
            }
        }
        self.send(items, entries)?;
        self.resolve(entries)
    }

    /// Deletes conflicting revisions: of each document one after the other.
    fn resolve(&self, entries: &[Entry]) -> Result<()> {
        let most = entries.iter().map(|entry| entry.resolve.len()).max().unwrap_or(0);
        for number in 0..most {
            let deletion = |entry: &Entry| {
                let rev = entry.resolve.get(number)?;
                let text = json!({"_id": entry.id, "_rev": rev, "_deleted": true}).to_string().into_bytes();
                Some(Item { id: entry.id.clone(), text })
            };
            let items: Vec<Item> = entries.iter().filter_map(deletion).collect();
            let answer = match self.bulk(&items)? {
                Ok(answer) => answer,
                Err(reason) => {
                    for item in &items {
                        self.sender.refuse(&item.id, "", reason.clone());
                    }
                    continue;
                }
            };
            let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            for (item, row) in items.iter().zip(rows) {
                if row["error"].is_string() && row["error"] != "conflict" {
                    self.sender.refuse(&item.id, "", reason(row));
                } else {
                    // A conflict: somebody else has resolved it.
                    self.counts.with(|result| result.resolved += 1);
                }
            }
        }
        Ok(())
    }
}
