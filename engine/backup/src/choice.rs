//! Why a copy of a shard was chosen.

use contents::Choice;
use outcome::report::{Notice, Reporter, Severity};

/// The most databases that a notice names.
const NAMED: usize = 5;

/// Reports choices: all of them in detailed output, and the important ones as warnings.
pub(super) fn tell(choices: &[Choice], reporter: &dyn Reporter) {
    let notice = |severity, text| reporter.notice(&Notice { severity, text });
    for choice in choices {
        notice(Severity::Info, choice.to_string());
    }
    let named = |chosen: &[&Choice]| {
        let shown: Vec<String> = chosen.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if chosen.len() > NAMED { "; … (--json lists all)" } else { "" };
        format!("{}{more}", shown.join("; "))
    };
    let purges: Vec<&Choice> = choices.iter().filter(|choice| choice.purges_differ).collect();
    if !purges.is_empty() {
        let unpurged: u64 = purges.iter().map(|choice| choice.unpurged()).sum();
        let what = if unpurged == 0 {
            "the copy that has purged more is saved".to_owned()
        } else {
            format!(
                "{unpurged} documents that were purged on another node are saved, because that node lacks other documents"
            )
        };
        let text = format!(
            "copies of {} ranges differ in their purges; {what}. When all nodes are up and connected, internal replication \
             applies the purges to all copies, unless `[mem3] replicate_purges` is false: {}",
            purges.len(),
            named(&purges)
        );
        notice(Severity::Warning, text);
    }
    let twins: Vec<&Choice> = choices.iter().filter(|choice| choice.same_uuid).collect();
    if !twins.is_empty() {
        let lacking: u64 = twins.iter().map(|choice| choice.lacking()).sum();
        let text = format!(
            "copies of {} ranges have the same uuid, as after a restore with another tool: internal replication skips writes \
             between them, so each copy may lack documents; {lacking} documents that only another copy has are not in the \
             archive. Restore with couchcopy, which gives every copy its own uuid, or replicate these databases into new ones: \
             {}",
            twins.len(),
            named(&twins)
        );
        notice(Severity::Warning, text);
    }
}
