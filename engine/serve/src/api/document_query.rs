//! What of a document is wanted.
//!
//! Source: `chttpd_db.erl` (`parse_doc_query/2`).

use super::revision::Rev;
use crate::http::{Call, HttpError, parse_json};

/// What of a document is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct DocumentQuery {
    /// This revision rather than the winner.
    pub(super) rev: Option<Rev>,
    /// These revisions, each for itself.
    pub(super) open_revs: Option<OpenRevs>,
    /// Attachments that are newer than these revisions come with their content.
    pub(super) atts_since: Option<Vec<Rev>>,
    /// The document even where it is deleted.
    pub(super) deleted: bool,
    /// The leaves that came of the revisions instead of these.
    pub(super) latest: bool,
    /// How it is shown.
    pub(super) shown: Shown,
}

/// Several revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenRevs {
    /// All leaves.
    All,
    /// These.
    These(Vec<Rev>),
}

/// How a document is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    /// With the ids of its ancestors.
    pub(super) revs: bool,
    /// With what is left of them.
    pub(super) revs_info: bool,
    /// With the leaves that are in conflict with it.
    pub(super) conflicts: bool,
    /// With the deleted leaves.
    pub(super) deleted_conflicts: bool,
    /// With its update sequence.
    pub(super) local_seq: bool,
    /// With the content of attachments.
    pub(super) attachments: bool,
    /// With how they are stored.
    pub(super) encoding_info: bool,
}

impl Shown {
    /// Whether anything is wanted that only the winner has.
    pub(super) fn has_meta(self) -> bool {
        self.revs_info || self.conflicts || self.deleted_conflicts || self.local_seq
    }

    /// Without what only the winner has.
    pub(super) fn without_meta(self) -> Self {
        Self { revs_info: false, conflicts: false, deleted_conflicts: false, local_seq: false, ..self }
    }
}

impl DocumentQuery {
    /// Reads a request's parameters. Unknown ones are passed over.
    pub(super) fn of(call: &Call) -> Result<Self, HttpError> {
        let mut query = Self::default();
        for (key, value) in &call.query {
            query.read(key, value)?;
        }
        Ok(query)
    }

    /// Reads the parameters of `_bulk_get`.
    pub(super) fn of_bulk_get(call: &Call) -> Result<Self, HttpError> {
        for (key, _) in &call.query {
            if ["open_revs", "new_edits", "w", "rev", "atts_since"].contains(&key.as_str()) {
                let reason = format!("\"{key}\" query parameter is not acceptable");
                return Err(HttpError::bad_request(reason));
            }
        }
        Self::of(call)
    }

    fn read(&mut self, key: &str, value: &str) -> Result<(), HttpError> {
        let shown = &mut self.shown;
        match (key, value) {
            ("attachments", "true") => shown.attachments = true,
            ("meta", "true") => {
                (shown.revs_info, shown.conflicts, shown.deleted_conflicts) = (true, true, true);
            }
            ("revs", "true") => shown.revs = true,
            ("local_seq", "true") => shown.local_seq = true,
            ("revs_info", "true") => shown.revs_info = true,
            ("conflicts", "true") => shown.conflicts = true,
            ("deleted_conflicts", "true") => shown.deleted_conflicts = true,
            ("att_encoding_info", "true") => shown.encoding_info = true,
            ("deleted", "true") => self.deleted = true,
            ("latest", "true") => self.latest = true,
            ("rev", rev) => self.rev = Some(Rev::parse(rev)?),
            ("open_revs", "all") => self.open_revs = Some(OpenRevs::All),
            ("open_revs", json) => {
                let revs = Rev::parse_list(&parse_json(json.as_bytes())?)?;
                self.open_revs = (!revs.is_empty()).then_some(OpenRevs::These(revs));
            }
            ("atts_since", json) => self.atts_since = Some(Rev::parse_list(&parse_json(json.as_bytes())?)?),
            _ => {}
        }
        Ok(())
    }
}
