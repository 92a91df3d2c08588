//! Figures for Prometheus, in its text format.

use std::fmt::Write as _;
use std::path::Path;

use outcome::{Failure, Result};

use crate::facts::{SourceFacts, second};
use crate::health::{Health, Status};
use crate::records::{RunRecord, replace};

/// A metric: its name, what it is, and how it is found for a place and the current time.
type OfPlace = (&'static str, &'static str, fn(&Health, i64) -> Option<f64>);
/// A metric: its name, what it is, and how it is found for a source.
type OfSource = (&'static str, &'static str, fn(&SourceFacts) -> Option<f64>);
/// A metric: its name, what it is, and how it is found for a run.
type OfRun = (&'static str, &'static str, fn(&RunRecord) -> Option<f64>);

const OF_PLACE: [OfPlace; 4] = [
    ("couchcopy_health_status", "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.", |health, _| {
        Some(f64::from(health.exit_code))
    }),
    ("couchcopy_health_checked_timestamp_seconds", "When these figures were found.", |_, now| {
        Some(now as f64)
    }),
    ("couchcopy_damaged_backups", "Backups that cannot be read or lack something.", |health, _| {
        (health.status != Status::Unknown).then_some(health.facts.damaged.len() as f64)
    }),
    ("couchcopy_free_bytes", "Bytes that are free where the backups are.", |health, _| {
        health.facts.free_bytes.map(|bytes| bytes as f64)
    }),
];

const OF_SOURCE: [OfSource; 8] = [
    ("couchcopy_backups", "Backups that are there.", |source| Some(source.backups as f64)),
    (
        "couchcopy_last_complete_backup_timestamp_seconds",
        "When the state that the newest complete backup holds was read last.",
        |source| source.fresh().map(|fresh| fresh as f64),
    ),
    ("couchcopy_last_backup_complete", "Whether everything was saved by the newest backup.", |source| {
        Some(f64::from(source.newest.is_some() && source.newest == source.complete))
    }),
    ("couchcopy_last_backup_duration_seconds", "Duration of the newest backup.", |source| {
        source.newest.as_ref().map(|newest| (newest.ended - newest.begun).max(0) as f64)
    }),
    ("couchcopy_last_backup_content_bytes", "Bytes of all files in the newest backup.", |source| {
        Some(source.newest.as_ref()?.content_bytes as f64)
    }),
    ("couchcopy_last_backup_new_bytes", "Bytes of content that were new in the newest backup.", |source| {
        Some(source.newest.as_ref()?.new_bytes? as f64)
    }),
    ("couchcopy_last_backup_stored_bytes", "Bytes that were stored for the newest backup.", |source| {
        Some(source.newest.as_ref()?.stored_bytes as f64)
    }),
    (
        "couchcopy_last_verification_timestamp_seconds",
        "When the last verification on this machine ended.",
        |source| second(&source.verification.as_ref()?.ended).map(|second| second as f64),
    ),
];

const OF_RUN: [OfRun; 4] = [
    ("couchcopy_last_run_timestamp_seconds", "When the last run ended.", |run| {
        second(&run.ended).map(|second| second as f64)
    }),
    ("couchcopy_last_run_duration_seconds", "Duration of the last run.", |run| Some(run.seconds)),
    ("couchcopy_last_run_exit_code", "Exit code of the last run; 0: everything was done.", |run| {
        Some(f64::from(run.exit_code))
    }),
    (
        "couchcopy_last_run_shards_not_saved",
        "Shards that the backup of the last run could not save.",
        |run| Some(run.figures.as_ref()?.shards_not_saved as f64),
    ),
];

/// The state of backups at several places, each of which has to be another one. `now` is in seconds since 1970.
pub fn text(places: &[Health], now: i64) -> String {
    let mut text = String::new();
    let labels = |health: &Health| format!("repository=\"{}\"", escaped(&health.facts.place));
    for (name, help, of) in OF_PLACE {
        let of = |health: &Health| Some((labels(health), of(health, now)?));
        metric(&mut text, name, help, places.iter().filter_map(of));
    }
    for (name, help, of) in OF_SOURCE {
        let of = |(health, source): (&Health, &SourceFacts)| {
            let (nodes, source_) = (escaped(&source.nodes.join(" ")), escaped(&source.source.join(" ")));
            Some((format!("{},nodes=\"{nodes}\",source=\"{source_}\"", labels(health)), of(source)?))
        };
        let sources =
            places.iter().flat_map(|health| health.facts.sources.iter().map(move |source| (health, source)));
        metric(&mut text, name, help, sources.filter_map(of));
    }
    for (name, help, of) in OF_RUN {
        let of = |(health, run): (&Health, &RunRecord)| {
            Some((format!("{},cluster=\"{}\"", labels(health), escaped(&run.cluster)), of(run)?))
        };
        let runs = places.iter().flat_map(|health| health.runs.iter().map(move |run| (health, run)));
        metric(&mut text, name, help, runs.filter_map(of));
    }
    text
}

/// Puts the metrics in place of a file, at once, for node_exporter's textfile collector. Everybody may read it.
pub fn write(path: &Path, text: &str) -> Result<()> {
    replace(path, text.as_bytes(), 0o644).map_err(|error| Failure::io("write", path, error))
}

/// A metric with its values; nothing if there are none.
fn metric(text: &mut String, name: &str, help: &str, values: impl Iterator<Item = (String, f64)>) {
    for (i, (labels, value)) in values.enumerate() {
        if i == 0 {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        }
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}

/// A value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::facts::{BackupFacts, Facts};
    use crate::health::{Limits, assess};
    use crate::records::Figures;

    #[test]
    fn every_metric_is_described_once() {
        let backup = BackupFacts {
            id: "x".into(),
            begun: 1000,
            ended: 1007,
            new_bytes: Some(3),
            ..BackupFacts::default()
        };
        let source = |node: &str| crate::SourceFacts {
            nodes: vec![node.into()],
            backups: 2,
            newest: Some(backup.clone()),
            complete: Some(backup.clone()),
            ..crate::SourceFacts::default()
        };
        let facts = Facts {
            place: "s3://a\"b\\c\n".into(),
            sources: vec![source("a"), source("b")],
            damaged: Vec::new(),
            free_bytes: Some(1 << 40),
        };
        let figures = Some(Figures { shards_not_saved: 4, ..Figures::default() });
        let ended = "1970-01-01T00:20:00Z".to_owned();
        let run = RunRecord { cluster: "prod".into(), ended, figures, exit_code: 3, ..RunRecord::default() };
        let health = assess(facts, vec![run], Limits { max_age: 100, max_unverified: 0 }, 1010);
        let text = text(std::slice::from_ref(&health), 1010);
        for expected in [
            "couchcopy_health_status{repository=\"s3://a\\\"b\\\\c\\n\"} 0\n",
            "couchcopy_last_complete_backup_timestamp_seconds{repository=\"s3://a\\\"b\\\\c\\n\",nodes=\"a\",source=\"\"} 1000\n",
            "couchcopy_last_backup_duration_seconds{repository=\"s3://a\\\"b\\\\c\\n\",nodes=\"b\",source=\"\"} 7\n",
            "couchcopy_free_bytes{repository=\"s3://a\\\"b\\\\c\\n\"} 1099511627776\n",
            "couchcopy_last_run_exit_code{repository=\"s3://a\\\"b\\\\c\\n\",cluster=\"prod\"} 3\n",
            "couchcopy_last_run_shards_not_saved{repository=\"s3://a\\\"b\\\\c\\n\",cluster=\"prod\"} 4\n",
            "couchcopy_last_run_timestamp_seconds{repository=\"s3://a\\\"b\\\\c\\n\",cluster=\"prod\"} 1200\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        let described: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut once = described.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(described.len(), once.len());
        let gone = Health::unknown("s3://gone".into(), "no".into(), Vec::new(), health.limits);
        let mixed = super::text(&[health.clone(), gone.clone()], 1010);
        assert_eq!(mixed.matches("# TYPE couchcopy_health_status ").count(), 1);
        assert!(mixed.contains("couchcopy_health_status{repository=\"s3://gone\"} 3\n"), "{mixed}");
        let two = super::text(&[health.clone(), health], 1010);
        assert_eq!(two.matches("# TYPE couchcopy_backups ").count(), 1);
        assert_eq!(two.matches("couchcopy_backups{").count(), 4);
        assert_eq!(super::text(&[gone], 7).matches("# TYPE ").count(), 2);
        // Not verified: no line, rather than a moment in 1970.
        assert!(!text.contains("couchcopy_last_verification"), "{text}");
    }

    #[test]
    fn a_file_is_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("couchcopy.prom");
        write(&path, "a 1\n").unwrap();
        write(&path, "a 2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a 2\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("no/x"), "").is_err());
    }
}
