//! States of backups, and what is reported of them.

use super::*;
use crate::facts::BackupFacts;
use crate::records::{Step, StepError, Verification};

const NOW: i64 = 1_800_000_000;
const LIMITS: Limits = Limits { max_age: 26 * 3600, max_unverified: 8 * 86_400 };

fn backup(age: i64) -> BackupFacts {
    BackupFacts { id: format!("b{age}"), begun: NOW - age, ended: NOW - age + 10, ..BackupFacts::default() }
}

fn verification(age: i64, intact: bool) -> Verification {
    let ended = jiff::Timestamp::from_second(NOW - age).unwrap().to_string();
    Verification { backup: "v".into(), nodes: ["n".to_owned()].into(), ended, share: 0.05, intact }
}

fn source(age: i64) -> SourceFacts {
    SourceFacts {
        nodes: vec!["n".into()],
        source: vec!["m:/d".into()],
        backups: 3,
        newest: Some(backup(age)),
        complete: Some(backup(age)),
        verification: Some(verification(3600, true)),
        unchanged: None,
    }
}

fn facts(sources: Vec<SourceFacts>) -> Facts {
    Facts { place: "/backups".into(), sources, ..Facts::default() }
}

fn status(facts: Facts) -> (Status, String) {
    let health = assess(facts, Vec::new(), LIMITS, NOW);
    assert_eq!(health.exit_code, health.status.code());
    (health.status, health.line())
}

#[test]
fn fresh_and_verified_is_ok() {
    let (status, line) = status(facts(vec![source(3 * 3600)]));
    assert_eq!(status, Status::Ok);
    assert_eq!(
        line,
        "OK - /backups: the newest complete backup was begun 3 h ago, verified 60 min ago \
         | age=10800s;;93600;0 unverified=3600s;691200;;0"
    );
}

#[test]
fn what_is_too_old_or_missing_is_critical() {
    for (facts, text) in [
        (facts(vec![source(27 * 3600)]), "begun 27 h ago (limit 26 h)"),
        (facts(vec![source(29 * 86_400)]), "begun 29 d ago"),
        (facts(Vec::new()), "there is no backup"),
        (facts(vec![SourceFacts { complete: None, ..source(60) }]), "there is no complete backup"),
        (
            facts(vec![SourceFacts { verification: Some(verification(60, false)), ..source(60) }]),
            "found damage in v",
        ),
        // One of two sources.
        (facts(vec![source(60), source(99 * 3600)]), "of n in m:/d was begun 4 d ago"),
    ] {
        let (status, line) = status(facts);
        assert_eq!(status, Status::Critical, "{line}");
        assert!(line.starts_with("CRITICAL - /backups: ") && line.contains(text), "{line}");
    }
    // The limit itself is fine.
    assert_eq!(status(facts(vec![source(26 * 3600)])).0, Status::Ok);
}

#[test]
fn what_somebody_should_look_at_is_a_warning() {
    for (facts, text) in [
        (
            facts(vec![SourceFacts { verification: None, ..source(60) }]),
            "no backup was verified on this machine",
        ),
        (
            facts(vec![SourceFacts { verification: Some(verification(9 * 86_400, true)), ..source(60) }]),
            "the last verification was 9 d ago (limit 8 d)",
        ),
        (
            facts(vec![SourceFacts { newest: Some(backup(30)), ..source(60) }]),
            "the newest backup is not complete",
        ),
        (facts(vec![source(-7200)]), "in the future"),
        (Facts { damaged: vec!["x|y\n".into()], ..facts(vec![source(60)]) }, "x y  cannot be read"),
    ] {
        let (status, line) = status(facts);
        assert_eq!(status, Status::Warning, "{line}");
        assert!(line.contains(text) && line.lines().count() == 1 && line.matches('|').count() == 1, "{line}");
    }
}

#[test]
fn a_machine_that_does_not_verify_turns_the_limit_off() {
    let limits = Limits { max_unverified: 0, ..LIMITS };
    let never = facts(vec![SourceFacts { verification: None, ..source(60) }]);
    assert_eq!(assess(never, Vec::new(), limits, NOW).status, Status::Ok);
    let damaged = facts(vec![SourceFacts { verification: Some(verification(60, false)), ..source(60) }]);
    assert_eq!(assess(damaged, Vec::new(), limits, NOW).status, Status::Critical);
}

#[test]
fn the_last_run_counts_until_a_later_backup() {
    let failed = |name: &str| Step {
        step: name.into(),
        outcome: StepOutcome::Failed,
        exit_code: 7,
        seconds: 1.0,
        result: None,
        error: Some(StepError { code: "CC-G02".into(), message: "no space".into(), remedy: None }),
        reason: None,
    };
    let run = |age: i64, steps: Vec<Step>| {
        let begun = jiff::Timestamp::from_second(NOW - age).unwrap().to_string();
        vec![RunRecord { begun, exit_code: 7, steps, ..RunRecord::default() }]
    };
    let of = |run| assess(facts(vec![source(3600)]), run, LIMITS, NOW);
    let later = of(run(60, vec![failed("backup")]));
    assert_eq!(later.status, Status::Warning);
    assert!(
        later.line().contains("the step backup of the last run failed: no space [CC-G02]"),
        "{}",
        later.line()
    );
    assert_eq!(of(run(7200, vec![failed("backup")])).status, Status::Ok);
    // Later backups do not prune.
    assert_eq!(of(run(7200, vec![failed("prune")])).status, Status::Warning);
    let done = Step { outcome: StepOutcome::Done, error: None, ..failed("backup") };
    assert_eq!(of(run(60, vec![done])).status, Status::Ok);
}

#[test]
fn nothing_new_is_as_good_as_a_backup() {
    let old = SourceFacts { unchanged: Some(NOW - 60), ..source(99 * 3600) };
    let (status, line) = status(facts(vec![old]));
    assert!(status == Status::Ok && line.contains("age=60s"), "{line}");
}
