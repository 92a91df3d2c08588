//! What differs between two moments of a database.

use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result, with_causes};
use serde::Serialize;
use snapshot::{Document, InOrder, Moment, SnapshotDatabase, Walk};
use std::sync::Arc;
use store::Place;

use crate::documents;

/// What happened to a document between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was changed.
    Changed,
    /// It was deleted.
    Deleted,
    /// It was purged.
    Gone,
    /// It was made.
    New,
}

/// A document that differs between two moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its id.
    pub id: String,
    /// What happened.
    pub was: Change,
    /// Its newest revision at the first moment, if it existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// Its newest revision at the second moment; `None` if it was unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<String>,
}

/// A database at a moment.
#[derive(Debug, Clone)]
pub struct Side<'s> {
    /// The backup.
    pub place: &'s Place,
    /// The moment in it; `None`: as it was saved.
    pub at: Option<Moment>,
}

/// Calls `each` with every document that differs between two moments of a database, in the order of the ids; only with those that
/// begin with `prefix`. Returns the number of damaged parts, which are reported. Memory: one document of each moment.
pub fn differences(
    then: &Side<'_>,
    later: &Side<'_>,
    db: &str,
    prefix: &str,
    threads: usize,
    reporter: &dyn Reporter,
    mut each: impl FnMut(Difference) -> Result<()>,
) -> Result<u64> {
    let open = |side: &Side<'_>| -> Result<Arc<SnapshotDatabase>> {
        let only = Some(vec![db.to_owned()]);
        let snapshot = documents::open(side.place, only, side.at.clone(), threads, reporter)?;
        snapshot.database(db)?.ok_or_else(|| {
            Failure::refused(
                Code::new("CC-H14"),
                format!("{} holds no database {db}, so there is nothing to compare", side.place),
                "`couchcopy ls BACKUP` lists the databases.",
            )
        })
    };
    let (then, later) = (open(then)?, open(later)?);
    let walk = Walk::prefix(prefix);
    let mut then = Documents::new(&then, &walk, reporter)?;
    let mut later = Documents::new(&later, &walk, reporter)?;
    loop {
        let order = match (then.peek()?, later.peek()?) {
            (None, None) => return Ok(then.damaged + later.damaged),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.0.cmp(&b.0),
        };
        let a = if order.is_le() { then.take() } else { None };
        let b = if order.is_ge() { later.take() } else { None };
        if let Some(difference) = difference(a, b) {
            each(difference)?;
        }
    }
}

/// Id, newest revision, whether it is deleted.
type Found = (String, String, bool);

fn difference(then: Option<Found>, later: Option<Found>) -> Option<Difference> {
    let then = then.filter(|(_, _, deleted)| !deleted);
    let was = match (&then, &later) {
        (Some(then), Some(later)) if then.1 == later.1 => return None,
        (Some(_), Some((_, _, true))) => Change::Deleted,
        (Some(_), Some(_)) => Change::Changed,
        (Some(_), None) => Change::Gone,
        (None, Some((_, _, false))) => Change::New,
        (None, _) => return None,
    };
    let id = then.as_ref().or(later.as_ref()).map(|found| found.0.clone())?;
    Some(Difference { id, was, then: then.map(|found| found.1), later: later.map(|found| found.1) })
}

/// The documents of a database at one moment.
struct Documents<'d> {
    found: InOrder<'d>,
    reporter: &'d dyn Reporter,
    next: Option<Found>,
    damaged: u64,
}

impl<'d> Documents<'d> {
    fn new(database: &'d SnapshotDatabase, walk: &Walk, reporter: &'d dyn Reporter) -> Result<Self> {
        Ok(Self { found: database.in_order_around_damage(walk)?, reporter, next: None, damaged: 0 })
    }

    fn peek(&mut self) -> Result<Option<&Found>> {
        while self.next.is_none() {
            let Some(found) = self.found.next() else { break };
            let read = found.map(|(_, document)| facts(&document));
            match read {
                Ok(Some(found)) => self.next = Some(found),
                Ok(None) => self.damaged += 1,
                Err(e) if e.is_damage() => {
                    self.damaged += 1;
                    self.reporter.notice(&Notice { severity: Severity::Problem, text: with_causes(&e) });
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(self.next.as_ref())
    }

    fn take(&mut self) -> Option<Found> {
        self.next.take()
    }
}

fn facts(document: &Document<'_>) -> Option<Found> {
    Some((document.id().to_owned(), document.winner().ok()?.to_string(), document.is_deleted()))
}
