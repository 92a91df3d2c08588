//! Reports unusual results.

use contents::BackupSummary;
use outcome::report::{Notice, Reporter, Severity};

use crate::folder::NodeFolder;
use crate::left_out;

/// Reports directories for which a mirror is not used.
pub(crate) fn tell_unmirrored(folders: &[NodeFolder], reporter: &dyn Reporter) {
    let local =
        folders.iter().filter(|folder| folder.origin.mirror().is_none()).map(NodeFolder::display_name);
    let local: Vec<String> = local.collect();
    if !local.is_empty() {
        let text = format!("{} is on this machine: the mirror is not used for it", local.join(", "));
        reporter.notice(&Notice { severity: Severity::Warning, text });
    }
}

/// Reports unusual results. Whoever prints the result reports the problems.
pub(crate) fn tell(summary: &BackupSummary, reporter: &dyn Reporter) {
    left_out::report(&summary.left_out, reporter);
    let list = |names: &[String]| {
        let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
        let more = if names.len() > 5 { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    };
    let notice = |severity, text| reporter.notice(&Notice { severity, text });
    for copy in &summary.damaged_copies {
        notice(Severity::Warning, format!("{}: {}", copy.path, copy.problem));
    }
    if !summary.damaged_copies.is_empty() {
        notice(
            Severity::Warning,
            format!(
                "the archive has intact copies of these {} shards, but the nodes still have the damaged ones. To repair a node, \
                 see \"Check while saving\" in docs/backup.md",
                summary.damaged_copies.len()
            ),
        );
    }
    if !summary.deleted_meanwhile.is_empty() {
        notice(
            Severity::Warning,
            format!(
                "{} databases were deleted while the backup ran and will not be restored: {}",
                summary.deleted_meanwhile.len(),
                list(&summary.deleted_meanwhile)
            ),
        );
    }
    if !summary.created_meanwhile.is_empty() {
        notice(
            Severity::Warning,
            format!(
                "{} databases were created after the backup began and are not in it: {}",
                summary.created_meanwhile.len(),
                list(&summary.created_meanwhile)
            ),
        );
    }
    if !summary.views_left_out.is_empty() {
        notice(
            Severity::Warning,
            format!(
                "{} view indexes were left out, CouchDB will rebuild them: {}",
                summary.views_left_out.len(),
                list(&summary.views_left_out)
            ),
        );
    }
}
