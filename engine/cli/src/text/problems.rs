//! Problems with files of an archive or a node.

use std::fmt::Write as _;

use contents::FileProblem;

use super::sizes::count;

/// Problems that are printed as text; `--json` lists all.
pub(crate) const PROBLEMS_SHOWN: usize = 50;

/// Adds a heading with the number of problems, and the first problems, if there are any.
pub(crate) fn problems(
    text: &mut String,
    heading: &str,
    (one, many): (&str, &str),
    problems: &[FileProblem],
) {
    if problems.is_empty() {
        return;
    }
    let _ = writeln!(text, "{heading}: {}", count(problems.len() as u64, one, many));
    list(text, problems);
}

/// Adds the databases that a restore leaves out, if there are any.
pub(crate) fn left_out(text: &mut String, databases: &[FileProblem]) {
    let heading = "LEFT OUT, damaged or incomplete in the archive";
    problems(text, heading, ("database", "databases"), databases);
}

/// Adds the first problems, one a line.
pub(crate) fn list(text: &mut String, problems: &[FileProblem]) {
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        let _ = writeln!(text, "  {}: {}", problem.path, problem.problem);
    }
    if problems.len() > PROBLEMS_SHOWN {
        let _ = writeln!(text, "  … and {} more (--json lists all)", problems.len() - PROBLEMS_SHOWN);
    }
}
