//! The archive is being written: view indexes, then the shard maps as they were opened, then shards.
//!
//! A view index is read before its shard, so that its sequence cannot be beyond the shard's.

use std::collections::BTreeMap;

use archive::Progress;
use contents::{BackupSummary, Metadata, NewBackup};
use outcome::Result;
use outcome::report::{Reporter, timed};

use super::opened::Opened;
use super::planned::Planned;
use crate::adding::add_all;
use crate::checking::Checking;
use crate::drift::{self, LatestMaps};
use crate::options::{BackupResult, InRepository};
use crate::plan::FoundViews;
use crate::remote::{self, Candidate, Streams};
use crate::report::tell;
use crate::source::{MapsSource, ViewSource, view_name};
use crate::split::Saving;
use crate::{choice, maps, mirror, security};

/// An archive that has no data yet.
pub(super) struct Begun<'o> {
    pub(super) planned: Planned<'o>,
    pub(super) writer: NewBackup,
    pub(super) metadata: Metadata,
    /// When it was begun, in seconds since 1970.
    pub(super) now: u64,
}

/// An archive that has the view indexes.
pub(super) struct ViewsSaved<'o>(Begun<'o>);

/// An archive that has the view indexes and the shard maps.
pub(super) struct MapsSaved<'o>(Begun<'o>);

/// An archive that has all files.
pub(super) struct ShardsSaved<'o> {
    archive: Begun<'o>,
    /// Databases whose shards were split while the backup ran, and the ranges that were saved.
    split: BTreeMap<String, Vec<String>>,
}

impl<'o> Begun<'o> {
    /// Updates the mirror, if there is one, and saves the view indexes of the chosen copies.
    pub(super) fn save_views(mut self) -> Result<ViewsSaved<'o>> {
        let Planned { opened, plan, findings, .. } = &self.planned;
        let Opened { folders, reporter, .. } = opened;
        let FoundViews { planned: views, bytes, left_out } = plan.views(folders)?;
        findings.leave_out(left_out);
        let update = || mirror::update(folders, &views, &plan.shards, *reporter);
        if opened.mirror.is_some() {
            timed(*reporter, "mirror updated", update)?;
        } else {
            update()?;
        }
        reporter.phase_of_bytes("saving view indexes", Some(views.len() as u64), Some(bytes));
        let writer = &mut self.writer;
        let advance = advance(writer, *reporter);
        timed(*reporter, "view indexes saved", || -> Result<()> {
            let candidates = views.iter().map(|view| Candidate {
                folder: view.folder,
                path: &view.path,
                name: view_name(&view.path),
                stat: view.stat,
            });
            let streams = Streams::start(folders, remote::wanted(writer, folders, candidates)?)?;
            let sources =
                views.into_iter().map(|view| ViewSource { view, folders, findings, streams: &streams });
            add_all(writer, sources, &streams, *reporter, &advance)
        })?;
        advance(writer.added());
        Ok(ViewsSaved(self))
    }
}

impl<'o> ViewsSaved<'o> {
    /// Saves the shard maps as they were when the nodes were opened.
    pub(super) fn save_maps(self) -> Result<MapsSaved<'o>> {
        let Self(mut archive) = self;
        let Planned { opened, plan, .. } = &archive.planned;
        let rewritten = maps::rewritten(plan, &opened.folders, opened.threads)?;
        let source = MapsSource { maps: &plan.maps, rewritten, now: archive.now };
        archive.writer.add_all(std::iter::once(source), &|_| {}, &|| {})?;
        Ok(MapsSaved(archive))
    }
}

impl<'o> MapsSaved<'o> {
    /// Saves the shards; of those that are split in the meantime, the parts.
    pub(super) fn save_shards(self) -> Result<ShardsSaved<'o>> {
        let Self(mut archive) = self;
        let shards = std::mem::take(&mut archive.planned.plan.shards);
        let Planned { opened, plan, findings, shard_bytes, .. } = &archive.planned;
        let Opened { options, reporter, threads, folders, .. } = opened;
        reporter.phase_of_bytes("saving shards", Some(shards.len() as u64), *shard_bytes);
        let checking = options.check.then(|| Checking::new(*threads, options.destination.temporary_folder()));
        let writer = &mut archive.writer;
        let advance = advance(writer, *reporter);
        let saving = Saving {
            folders,
            plan,
            findings,
            checking: checking.as_ref(),
            reporter: *reporter,
            advance: &advance,
        };
        let split = timed(*reporter, "shards saved", || {
            let latest = LatestMaps::default();
            saving.save(writer, shards, &latest, None)?;
            saving.save_split(writer, &latest)
        })?;
        advance(writer.added());
        Ok(ShardsSaved { archive, split })
    }
}

impl ShardsSaved<'_> {
    /// Records how the backup went, and gives the archive its name.
    pub(super) fn finish(self) -> Result<BackupResult> {
        let Self { archive: Begun { planned, writer, metadata, .. }, split } = self;
        let Planned { opened, plan, findings, choices, leftovers, cluster, .. } = planned;
        let Opened { reporter, threads, folders, config, mirror, .. } = opened;
        findings.refuse_newer()?;
        let security = findings.securities.clone().disagreeing();
        let mut summary = findings.into_summary();
        summary.security = security;
        summary.nodes = metadata.backup.source.nodes_names;
        summary.date = metadata.backup.date;
        summary.cluster = cluster;
        summary.rebuilt_maps.clone_from(&opened.rebuilt);
        summary.config.clone_from(&config.nodes);
        summary.surplus_shards = plan.surplus;
        summary.chosen.clone_from(&opened.options.databases);
        summary.not_chosen = plan.not_chosen;
        summary.split_meanwhile = split;
        summary.copies_differ = choices.iter().filter(|choice| choice.is_grave()).cloned().collect();
        let deleted = summary.deleted_meanwhile.len() as u64;
        summary.databases = plan.databases.saturating_sub(deleted);
        summary.created_meanwhile = drift::created_since(&plan.maps, *threads)?;
        let is_saved = |db: &String| plan.disputed.get(db).is_some_and(|disputed| disputed.winner.is_some());
        summary.created_meanwhile.retain(|db| !is_saved(db) && plan.takes(db));
        summary.left_out = leftovers.confirmed(folders, &summary.created_meanwhile, *threads)?;
        summary.left_out.extend(plan.unreachable(folders));
        summary.left_out.sort();
        summary.problems.extend(plan.problems);
        summary.problems.sort();
        summary.problems.dedup();
        summary.damaged.sort();
        summary.damaged_copies.sort();
        tell(&summary, *reporter);
        choice::tell(&choices, *reporter);
        security::tell(&summary.security, *reporter);

        let all_count = summary.deleted_meanwhile.is_empty() && summary.split_meanwhile.is_empty();
        let finished = writer.finish_with(BackupSummary::is_complete, |documents| {
            if all_count {
                summary.documents = Some(documents.live);
                summary.deleted_documents = Some(documents.deleted);
            }
            summary.clone()
        })?;
        if let Some(mirror) = mirror {
            mirror.finish()?;
        }
        Ok(BackupResult {
            summary,
            choices,
            content_bytes: finished.content_bytes,
            archive_bytes: finished.stored_bytes,
            is_unchanged: finished.is_unchanged,
            in_repository: finished.in_repository.map(InRepository::from),
        })
    }
}

/// Reports how far the archive is, from what it holds now on.
fn advance<'r>(writer: &NewBackup, reporter: &'r dyn Reporter) -> impl Fn(Progress) + Sync + use<'r> {
    let before = writer.added();
    move |progress| {
        let new = progress.since(before);
        reporter.advance(new.entries, new.content_bytes);
    }
}
