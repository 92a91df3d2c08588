//! Backups of a cluster in the configuration file: hooks, records, metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outcome::{FailureKind, Result};

use super::text::{print, print_round};
use super::{Backup, every};
use crate::attended::{Configured, Job, step};
use crate::exit::Outcome;
use crate::served::Served;
use crate::session::Session;

impl Backup {
    /// A backup from the configuration file, with its hooks.
    pub(super) fn run_configured(&self, configured: &Configured, session: &Session) -> Result<Outcome> {
        if let Some(every) = self.every() {
            return self.stay(every, configured, session);
        }
        let mut job = Job::begin(session, configured)?;
        let begun = Instant::now();
        let made = self.options(Some(configured), session).and_then(|(options, _plugins)| {
            let result = self.make(&options, Some(configured), session.reporter())?;
            job.add(&result);
            print(session, &options, &result);
            let is_complete = result.is_complete();
            Ok((result, is_complete))
        });
        job.end(vec![step("backup", begun, &made)]);
        made.map(|(_, is_complete)| Outcome::of(is_complete))
    }

    /// Backups from the configuration file until a signal ends the process.
    fn stay(&self, every: Duration, configured: &Configured, session: &Session) -> Result<Outcome> {
        let mut job = Some(Job::begin(session, configured)?);
        let served = Served::begin(self.repository.metrics_listen, configured, session)?;
        let begun = Instant::now();
        let (options, _plugins) = match self.options(Some(configured), session) {
            Ok(options) => options,
            Err(failure) => {
                let failed: Result<((), bool)> = Err(failure);
                if let Some(job) = job.take() {
                    job.end(vec![step("backup", begun, &failed)]);
                }
                return failed.map(|_| Outcome::Done);
            }
        };
        let interrupted = session.interruptible()?;
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| served.answer(&ended));
            let repeated = every::repeat(every, interrupted, session.reporter(), |reporter| {
                let mut job = match job.take() {
                    Some(job) => job,
                    None => Job::again(session, configured)?,
                };
                let begun = Instant::now();
                let made = self.round(&options, Some(configured), reporter).map(|result| {
                    job.add(&result);
                    print_round(session, &options, &result);
                    let is_complete = result.is_complete();
                    (result, is_complete)
                });
                if matches!(&made, Err(failure) if failure.kind() == FailureKind::Interrupted) {
                    return made.map(drop);
                }
                job.end(vec![step("backup", begun, &made)]);
                served.renew(session);
                made.map(drop)
            });
            ended.store(true, Ordering::Relaxed);
            repeated
        })?;
        Ok(Outcome::Done)
    }
}
