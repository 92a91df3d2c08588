//! `couchcopy clean`.

use std::fmt::Write as _;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use outcome::{Code, Failure, Result};
use restore::status::clean;
use serde::Serialize;
use store::{Location, Unfinished};

use crate::cluster::Cluster;
use crate::exit::Outcome;
use crate::flags::nodes::NodeFlags;
use crate::session::Session;
use crate::text::sizes::count;

/// Remove what interrupted commands and earlier restores have left.
///
/// On nodes: the old data that restores have left next to the new data. In a store: uploads that were never completed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    couchcopy clean --cluster prod.toml\n  \
    couchcopy clean s3://backups/couchdb/")]
pub(crate) struct Clean {
    #[command(flatten)]
    pub(super) nodes: NodeFlags,

    /// Of the unfinished uploads in a store, remove only those that began more than HOURS ago.
    ///
    /// A backup that is running has an unfinished upload, too: choose more hours than your longest backup takes.
    #[arg(long, value_name = "HOURS", default_value_t = 24, help_heading = "Stores")]
    unfinished_for: u32,
}

/// What was removed from a store.
#[derive(Serialize)]
struct CleanedStore {
    /// Keys whose unfinished uploads were removed.
    removed: Vec<String>,
    /// Keys of unfinished uploads that began too recently.
    kept: Vec<String>,
}

impl Clean {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        if let [name] = self.nodes.names.as_slice()
            && let Ok(location @ Location::Object(_)) = name.parse::<Location>()
        {
            return self.clean_store(&location, session);
        }
        let cluster = Cluster::of(&self.nodes, session)?;
        let cleaned = clean(&cluster.nodes, session.reporter())?;
        session.summary(&cleaned, |cleaned| match cleaned.as_slice() {
            [] => "there was nothing to remove".into(),
            nodes => format!("removed the old data of restores on {}", nodes.join(", ")),
        });
        Ok(Outcome::Done)
    }

    fn clean_store(&self, location: &Location, session: &Session) -> Result<Outcome> {
        let place = session.place_of_cluster(location, self.nodes.access.cluster.as_deref())?;
        let Some((bucket, prefix)) = place.bucket()? else {
            return Err(Failure::bug("a store without a bucket"));
        };
        let Some(unfinished) = bucket.unfinished(&prefix)? else {
            return Err(Failure::refused(
                Code::new("CC-O22"),
                format!("{location}: this service does not list unfinished uploads"),
                "Azure removes them after a week. For Google Cloud Storage, add the lifecycle rule in docs/stores.md.",
            ));
        };
        let is_old = |upload: &Unfinished| {
            let age = upload.begun.parse::<Timestamp>().map(|begun| Timestamp::now().duration_since(begun));
            self.unfinished_for == 0
                || age.is_ok_and(|age| age >= SignedDuration::from_hours(i64::from(self.unfinished_for)))
        };
        let (old, recent): (Vec<_>, Vec<_>) = unfinished.into_iter().partition(is_old);
        for upload in &old {
            bucket.abandon(upload)?;
        }
        let keys =
            |uploads: Vec<Unfinished>| uploads.into_iter().map(|upload| upload.key).collect::<Vec<_>>();
        let cleaned = CleanedStore { removed: keys(old), kept: keys(recent) };
        session.summary(&cleaned, |cleaned| {
            let n = cleaned.removed.len() as u64;
            let mut text = match n {
                0 => "there was nothing to remove\n".to_owned(),
                n => format!("removed {}\n", count(n, "unfinished upload", "unfinished uploads")),
            };
            if !cleaned.kept.is_empty() {
                let n = count(cleaned.kept.len() as u64, "unfinished upload", "unfinished uploads");
                let _ = writeln!(
                    text,
                    "kept {n} that began in the last {} hours (--unfinished-for)",
                    self.unfinished_for
                );
            }
            text
        });
        Ok(Outcome::Done)
    }
}
