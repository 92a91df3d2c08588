//! A backup from its beginning to its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use archive::{ArchiveError, ArchiveWriter, EntrySource, Facts, Progress, WriterOptions};
use contents::{Metadata, PartialFile};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result, parallel};

use crate::report::{tell, tell_unmirrored};
use crate::{
    BackupOptions, BackupResult, asked, checking, choice, config, drift, folder, leftovers, maps, mirror,
    plan, remote, security, source, split,
};

/// Makes an archive. The archive's path names a complete archive or the previous file at any time.
///
/// Fails before anything is written if a range of a database is on none of the given nodes. Files that are damaged or missing on
/// the nodes do not fail the backup: they are listed in the result and in the archive.
pub fn backup(options: &BackupOptions, reporter: &dyn Reporter) -> Result<BackupResult> {
    let threads = parallel::threads(options.threads);
    let output = PartialFile::create(&options.archive, options.overwrite)?;
    let asked = asked::Asked::new(&options.folders, reporter)?;
    let mirror = options.mirror.as_deref().map(mirror::Mirror::open).transpose()?;
    let folders = folder::open_all(&options.folders, &asked, mirror.as_ref())?;
    if mirror.is_some() {
        tell_unmirrored(&folders, reporter);
    }
    let config = match &options.config {
        Some(wanted) => config::read(wanted, &options.folders, &folders)?,
        None => config::Configuration::default(),
    };
    reporter.phase("reading the shard maps", None);
    let begun = Instant::now();
    let mut plan = plan::Plan::make(&folders, threads, reporter)?;
    reporter.timing("shard maps read", begun.elapsed().as_secs_f64());
    let findings = source::Findings::default();
    let choices = plan.choose(&folders, threads, || asked.is_quiet(), &findings.securities, reporter)?;
    reporter.phase("looking for files that no shard map names", None);
    let leftovers = leftovers::Leftovers::find(&folders, &plan)?;
    if !options.accept_empty_maps {
        leftovers.refuse_empty_maps(&plan)?;
    }
    let cluster = if asked.is_nobody() {
        None
    } else {
        asked.record(&plan.database_names(threads)?, options.limits, reporter)
    };

    let metadata = Metadata::now(folders.iter().filter_map(|folder| folder.name.clone()).collect());
    let mut writer = ArchiveWriter::new(output.writer()?, WriterOptions { level: options.level, threads });
    let now = jiff::Timestamp::now().as_second().unsigned_abs();
    writer.add_bytes(archive::METADATA, now, Facts::Metadata, metadata.to_yaml().as_bytes())?;
    let before = 1 + config.files.len() as u64;
    for file in config.files {
        writer.add_bytes(&file.entry, now, file.facts, &file.content)?;
    }

    let plan::FoundViews { planned: views, left_out } = plan.views(&folders)?;
    findings.leave_out(left_out);
    let begun = Instant::now();
    mirror::update(&folders, &views, &plan.shards, reporter)?;
    if mirror.is_some() {
        reporter.timing("mirror updated", begun.elapsed().as_secs_f64());
    }
    reporter.phase("saving view indexes", Some(views.len() as u64));
    let begun = Instant::now();
    let streams =
        remote::Streams::start(&folders, views.iter().map(|view| (view.folder, view.path.as_str())))?;
    let sources = views.into_iter().map(|view| source::ViewSource {
        view,
        folders: &folders,
        findings: &findings,
        streams: &streams,
    });
    add_all(&mut writer, sources, &streams, reporter, &|progress| {
        reporter.advance(progress.entries.saturating_sub(before), progress.content_bytes);
    })?;
    drop(streams);
    reporter.timing("view indexes saved", begun.elapsed().as_secs_f64());

    let rewritten = maps::rewritten(&plan, &folders, threads)?;
    writer
        .add_all(std::iter::once(source::MapsSource { maps: &plan.maps, rewritten, now }), &|_| {})
        .map_err(Failure::from)?;

    let shards = std::mem::take(&mut plan.shards);
    reporter.phase("saving shards", Some(shards.len() as u64));
    let begun = Instant::now();
    let checking = options.check.then(|| checking::Checking::new(threads, &options.archive));
    let first = AtomicU64::new(u64::MAX);
    let advance = |progress: Progress| {
        first.fetch_min(progress.entries, Ordering::Relaxed);
        let start = first.load(Ordering::Relaxed);
        reporter.advance(progress.entries - start, progress.content_bytes);
    };
    let saving = split::Saving {
        folders: &folders,
        plan: &plan,
        findings: &findings,
        checking: checking.as_ref(),
        reporter,
        advance: &advance,
    };
    let latest = drift::LatestMaps::default();
    saving.save(&mut writer, shards, &latest, None)?;
    let split_meanwhile = saving.save_split(&mut writer, &latest)?;
    reporter.timing("shards saved", begun.elapsed().as_secs_f64());

    findings.refuse_newer()?;
    let security = findings.securities.clone().disagreeing();
    let mut summary = findings.into_summary();
    summary.security = security;
    summary.nodes = metadata.backup.source.nodes_names;
    summary.date = metadata.backup.date;
    summary.cluster = cluster;
    summary.config = config.nodes;
    summary.surplus_shards = plan.surplus;
    summary.split_meanwhile = split_meanwhile;
    summary.copies_differ = choices.iter().filter(|choice| choice.is_grave()).cloned().collect();
    let whole = summary.deleted_meanwhile.len() as u64;
    summary.databases = plan.databases.saturating_sub(whole);
    summary.created_meanwhile = drift::created_since(&plan.maps, threads)?;
    let is_saved = |db: &String| plan.disputed.get(db).is_some_and(|disputed| disputed.winner.is_some());
    summary.created_meanwhile.retain(|db| !is_saved(db));
    summary.left_out = leftovers.confirmed(&folders, &summary.created_meanwhile, threads)?;
    summary.left_out.extend(plan.unreachable(&folders));
    summary.left_out.sort();
    summary.problems.extend(plan.problems);
    summary.problems.sort();
    summary.problems.dedup();
    summary.damaged.sort();
    summary.damaged_copies.sort();
    tell(&summary, reporter);
    choice::tell(&choices, reporter);
    security::tell(&summary.security, reporter);

    let value = serde_json::to_value(&summary).map_err(|e| Failure::bug(e.to_string()))?;
    let written = writer.finish(value)?;
    output.commit(written.out)?;
    if let Some(mirror) = mirror {
        mirror.finish()?;
    }
    Ok(BackupResult {
        summary,
        choices,
        content_bytes: written.content_bytes,
        archive_bytes: written.archive_bytes,
    })
}

/// Adds files, some of which may arrive through streams.
pub(crate) fn add_all<W: std::io::Write + Send, S: EntrySource>(
    writer: &mut ArchiveWriter<W>,
    sources: impl Iterator<Item = S> + Send,
    streams: &remote::Streams,
    reporter: &dyn Reporter,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let pass_on = || {
        for text in streams.notices() {
            reporter.notice(&Notice { severity: Severity::Warning, text });
        }
    };
    let told = |so_far| {
        pass_on();
        progress(so_far);
    };
    let added = writer.add_all_waiting(sources, &told, &|| streams.stop());
    pass_on();
    if added.is_ok()
        && let Some(failure) = streams.failure()
    {
        // What came last may not be as it was.
        return Err(failure.into());
    }
    added.map_err(|error| {
        // What came of a connection that failed is not worth telling; why it failed is.
        match streams.failure() {
            Some(failure) => failure.into(),
            None => match &error {
                ArchiveError::Io { source, .. } => match remote::broken_off(source) {
                    Some(failure) => failure.into(),
                    None => Failure::from(error),
                },
                _ => Failure::from(error),
            },
        }
    })
}
