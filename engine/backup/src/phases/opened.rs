//! The nodes are open: their shard maps stay as they are now.

use std::sync::Arc;

use outcome::report::{Reporter, timed};
use outcome::{Result, parallel};
use store::Limiter;

use super::planned::Planned;
use crate::asked::Asked;
use crate::chosen;
use crate::config::{self, Configuration};
use crate::folder::{self, NodeFolder};
use crate::leftovers::{Leftovers, Listing};
use crate::mirror::Mirror;
use crate::options::BackupOptions;
use crate::plan::Plan;
use crate::rebuild::rebuild;
use crate::report::tell_unmirrored;
use crate::source::Findings;

/// Nodes whose files and CouchDB have been reached.
pub(super) struct Opened<'o> {
    pub(super) options: &'o BackupOptions,
    pub(super) reporter: &'o dyn Reporter,
    pub(super) threads: usize,
    pub(super) folders: Vec<NodeFolder>,
    pub(super) mirror: Option<Mirror>,
    pub(super) config: Configuration,
    /// Databases whose shard maps were rebuilt.
    pub(super) rebuilt: Vec<String>,
    asked: Asked<'o>,
}

impl<'o> Opened<'o> {
    /// Opens the shard maps of all nodes, asks those that answer who they are, and reads their configuration if it is wanted.
    pub(super) fn open(options: &'o BackupOptions, reporter: &'o dyn Reporter) -> Result<Self> {
        let asked = Asked::new(&options.folders, reporter)?;
        let mirror = options.mirror.as_deref().map(Mirror::open).transpose()?;
        let limiter = options.limit_rate.map(|rate| Arc::new(Limiter::new(rate as f64)));
        let mut folders = folder::open_all(&options.folders, &asked, mirror.as_ref(), limiter.as_ref())?;
        let threads = parallel::threads(options.threads);
        let rebuilt = match &options.rebuild_maps {
            Some(wanted) => rebuild(&mut folders, wanted, threads, reporter)?,
            None => Vec::new(),
        };
        if mirror.is_some() {
            tell_unmirrored(&folders, reporter);
        }
        let config = match &options.config {
            Some(wanted) => config::read(wanted, &options.folders, &folders)?,
            None => Configuration::default(),
        };
        Ok(Self { options, reporter, threads, folders, mirror, config, rebuilt, asked })
    }

    /// Decides what is saved, of which node.
    pub(super) fn plan(&self) -> Result<Planned<'_>> {
        let Self { folders, reporter, threads, .. } = self;
        reporter.phase("reading the shard maps", None);
        let mut plan = timed(*reporter, "shard maps read", || {
            Plan::make(folders, &self.options.databases, *threads, *reporter)
        })?;
        chosen::check(&plan, &self.options.databases, *reporter)?;
        let findings = Findings::default();
        let choices = plan.choose(folders, *threads, &findings.securities, *reporter)?;
        reporter.phase("looking for files that no shard map names", None);
        let Listing { leftovers, shard_bytes, stats } =
            timed(*reporter, "other files found", || Leftovers::find(folders, &plan))?;
        for (shard, stat) in plan.shards.iter_mut().zip(stats) {
            shard.stat = stat;
        }
        if !self.options.accept_empty_maps {
            leftovers.refuse_empty_maps(&plan)?;
        }
        let cluster = if self.asked.is_nobody() {
            None
        } else {
            self.asked.record(&plan.database_names(*threads)?, self.options.limits, *reporter)
        };
        Ok(Planned { opened: self, plan, findings, choices, leftovers, shard_bytes, cluster })
    }
}
