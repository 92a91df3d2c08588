//! Restores of running nodes: a new one, one that goes on, one that is undone.

use std::time::Duration;

use cluster::agreement::WaitOptions;
use outcome::Result;
use restore::live::{LiveOptions, LiveResult, PlannedRestore, Resumed, resume, roll_back};
use serde::Serialize;
use store::{Location, Place};

use super::Restore;
use super::live_text::{plan_text, result_text};
use crate::cluster::Cluster;
use crate::exit::Outcome;
use crate::session::Session;

/// The nodes whose old data is in place again, as `--json` prints them.
#[derive(Serialize)]
struct RolledBack {
    rolled_back: Vec<String>,
}

impl Restore {
    /// Replaces the data of the nodes.
    pub(super) fn replace(&self, archive: &Location, names: &[String], session: &Session) -> Result<Outcome> {
        let options = self.live_options(archive, session)?;
        let mut cluster = self.connect(names, session)?;
        let interrupted = session.interruptible()?;
        let mut planned = PlannedRestore::make(&options, &mut cluster.nodes, session.reporter())?;
        let plan = planned.describe(&cluster.nodes);
        if self.mode.dry_run {
            session.answer(&plan, plan_text);
            return Ok(Outcome::of(plan.left_out == 0));
        }
        session.confirm(self.mode.yes, &plan_text(&plan))?;
        let result = planned.carry_out(&cluster.nodes, interrupted, session.reporter())?;
        Ok(finished(&result, session))
    }

    /// Finishes an interrupted restore.
    pub(super) fn resume(
        &self,
        archive: Option<&Location>,
        names: &[String],
        session: &Session,
    ) -> Result<Outcome> {
        // The operation replaces the archive in these options by the given one, or by the one that the nodes have recorded.
        let options = self.live_options(&Location::default(), session)?;
        let mut cluster = self.connect(names, session)?;
        let interrupted = session.interruptible()?;
        let archive = archive.map(|archive| self.place(archive, session)).transpose()?;
        Ok(match resume(&options, archive, &mut cluster.nodes, interrupted, session.reporter())? {
            Resumed::All(result) => finished(&result, session),
            Resumed::OneNode(result) => super::one_node::finished(&result, session),
        })
    }

    /// Restores the data that an earlier restore has replaced.
    pub(super) fn roll_back(&self, names: &[String], session: &Session) -> Result<Outcome> {
        let mut cluster = self.connect(names, session)?;
        // Ctrl-C does not end the process in the middle of this.
        session.interruptible()?;
        session.confirm(
            self.mode.yes,
            "The data that the restore replaced will be restored; everything that was written since then is lost.",
        )?;
        let names = roll_back(&mut cluster.nodes, session.reporter())?;
        session.summary(&RolledBack { rolled_back: names }, |result| {
            format!("the old data is back in place on {}", result.rolled_back.join(", "))
        });
        Ok(Outcome::Done)
    }

    pub(super) fn connect(&self, names: &[String], session: &Session) -> Result<Cluster> {
        Cluster::connect(names, &self.access, &self.http, session)
    }

    fn place(&self, archive: &Location, session: &Session) -> Result<Place> {
        session.place_of_cluster(archive, self.access.cluster.as_deref())
    }

    pub(super) fn live_options(&self, archive: &Location, session: &Session) -> Result<LiveOptions> {
        Ok(LiveOptions {
            archive: self.place(archive, session)?,
            choices: self.choices(session)?,
            remove_orphans: self.data.remove_orphans,
            threads: session.threads(),
            maps: self.data.maps.into(),
            keep_old: self.data.keep_old,
            wait: WaitOptions {
                wait_for: self.waiting.wait.into(),
                limit: Duration::from_secs(self.waiting.timeout),
                open_for: self.waiting.open.0,
            },
        })
    }
}

fn finished(result: &LiveResult, session: &Session) -> Outcome {
    session.summary(result, result_text);
    Outcome::of(result.restored.is_complete() && result.written_down)
}
