//! The user's choice of databases (`--only`, `--except`), held against what is on the nodes.

use contents::NamePatterns;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};

use crate::plan::Plan;

/// Options that a message names.
const NAMED: usize = 5;

/// Fails if an option that chooses databases chooses none, so that a wrong name is not taken for a saved database. An option that
/// leaves out nothing is only reported: what it names may not exist any more, or not yet.
pub(super) fn check(plan: &Plan<'_>, patterns: &NamePatterns, reporter: &dyn Reporter) -> Result<()> {
    if patterns.is_everything() {
        return Ok(());
    }
    let names = &plan.all_names;
    let idle = patterns.matcher().idle(names.iter().map(String::as_str));
    let (idle_only, idle_except): (Vec<String>, Vec<String>) =
        idle.into_iter().partition(|option| option.starts_with("--only "));
    let named = |options: &[String]| options[..options.len().min(NAMED)].join(", ");
    if !idle_only.is_empty() {
        return Err(refused(format!("{} matches no database of the nodes", named(&idle_only))));
    }
    if plan.databases == 0 && plan.problems.is_empty() {
        return Err(refused(format!("none of the {} databases of the nodes is chosen", names.len())));
    }
    if !idle_except.is_empty() {
        let text = format!("{} matches no database of the nodes", named(&idle_except));
        reporter.notice(&Notice { severity: Severity::Warning, text });
    }
    if plan.not_chosen == 0 {
        return Ok(());
    }
    let text = format!(
        "{} databases are not chosen and are not saved. A restore of this backup to a running cluster removes them there; \
         `couchcopy restore --db NAME` does not.",
        plan.not_chosen
    );
    reporter.notice(&Notice { severity: Severity::Info, text });
    Ok(())
}

fn refused(problem: String) -> Failure {
    Failure::refused(
        Code::new("CC-B16"),
        problem,
        "A pattern must match a complete name: * stands for any characters including /, ? for one character. In a shell, put \
         patterns in quotes.",
    )
}
