//! What was recovered: by document, by shard and altogether.

use serde::Serialize;

/// What is left of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Grade {
    /// Its winning revision is proven and complete, with all attachments.
    #[serde(rename = "whole")]
    Whole,
    /// An older or a conflicting revision is proven and complete; the newest one is lost or not proven.
    #[serde(rename = "older revision only")]
    OlderRevision,
    /// The body of its winning revision is proven; one or more of the attachments are lost.
    #[serde(rename = "attachment lost")]
    AttachmentLost,
    /// Its id and its revision are known; no body is.
    #[serde(rename = "body lost")]
    BodyLost,
    /// Only its id is known.
    #[serde(rename = "id only")]
    IdOnly,
    /// There is a body, but nothing proves that it belongs to this id and this revision.
    #[serde(rename = "unproven")]
    Unproven,
}

impl Grade {
    /// All grades, the best one first.
    pub const ALL: [Self; 6] = [
        Self::Whole,
        Self::OlderRevision,
        Self::AttachmentLost,
        Self::BodyLost,
        Self::IdOnly,
        Self::Unproven,
    ];

    /// The words for people and for JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::OlderRevision => "older revision only",
            Self::AttachmentLost => "attachment lost",
            Self::BodyLost => "body lost",
            Self::IdOnly => "id only",
            Self::Unproven => "unproven",
        }
    }
}

/// What is left of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DocumentLine {
    /// The database; the file's name if the file is not a shard.
    pub database: String,
    /// The document's id.
    pub id: String,
    /// What is left of it.
    pub grade: Grade,
    /// The best revision that is in the output (or, if the document is unproven, apart from it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
    /// Whether that revision deletes the document.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Whether the files prove that no newer revision existed: a file that ends with its header names this one.
    pub newest: bool,
    /// A newer revision that is known, but lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_rev: Option<String>,
    /// A revision that is not proven, in the output apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unproven_rev: Option<String>,
    /// Names of lost attachments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_attachments: Vec<String>,
    /// Number of lost revisions in conflict with the best one.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost_conflicts: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it with a reference.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Numbers of documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// See [`Grade::Whole`].
    pub whole: u64,
    /// See [`Grade::OlderRevision`].
    pub older_revision_only: u64,
    /// See [`Grade::AttachmentLost`].
    pub attachment_lost: u64,
    /// See [`Grade::BodyLost`].
    pub body_lost: u64,
    /// See [`Grade::IdOnly`].
    pub id_only: u64,
    /// See [`Grade::Unproven`].
    pub unproven: u64,
    /// Of the documents in the output: those whose revision is perhaps not the newest, because the end of every file is lost.
    pub perhaps_not_newest: u64,
    /// Of the documents in the output: those whose revision deletes them.
    pub deleted: u64,
    /// Lost revisions in conflict.
    pub lost_conflicts: u64,
    /// Documents of an earlier state that were purged since: they are left out.
    pub purged: u64,
}

impl Counts {
    /// Counts a document.
    pub(crate) fn add(&mut self, line: &DocumentLine) {
        *match line.grade {
            Grade::Whole => &mut self.whole,
            Grade::OlderRevision => &mut self.older_revision_only,
            Grade::AttachmentLost => &mut self.attachment_lost,
            Grade::BodyLost => &mut self.body_lost,
            Grade::IdOnly => &mut self.id_only,
            Grade::Unproven => &mut self.unproven,
        } += 1;
        if matches!(line.grade, Grade::Whole | Grade::OlderRevision | Grade::AttachmentLost) {
            self.deleted += u64::from(line.deleted);
            self.perhaps_not_newest += u64::from(!line.newest);
        }
        self.lost_conflicts += line.lost_conflicts;
    }

    /// Adds those of another shard.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.whole += other.whole;
        self.older_revision_only += other.older_revision_only;
        self.attachment_lost += other.attachment_lost;
        self.body_lost += other.body_lost;
        self.id_only += other.id_only;
        self.unproven += other.unproven;
        self.perhaps_not_newest += other.perhaps_not_newest;
        self.deleted += other.deleted;
        self.lost_conflicts += other.lost_conflicts;
        self.purged += other.purged;
    }

    /// The number of a grade.
    pub fn of(&self, grade: Grade) -> u64 {
        match grade {
            Grade::Whole => self.whole,
            Grade::OlderRevision => self.older_revision_only,
            Grade::AttachmentLost => self.attachment_lost,
            Grade::BodyLost => self.body_lost,
            Grade::IdOnly => self.id_only,
            Grade::Unproven => self.unproven,
        }
    }

    /// Whether every document is whole.
    pub fn is_all_whole(&self) -> bool {
        Grade::ALL.iter().all(|&grade| grade == Grade::Whole || self.of(grade) == 0)
            && self.lost_conflicts == 0
    }
}

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes that the system did not read; they count as zeros.
    pub unreadable: u64,
    /// Number of valid headers of any generation.
    pub headers: u64,
    /// Update sequence in the newest header; `None` if there is no header.
    pub update_seq: Option<u64>,
    /// Whether the file ends with its newest header. If not, newer changes can be lost.
    pub ends_with_header: bool,
    /// Number of tree nodes of any generation that were read.
    pub nodes: u64,
    /// Number of damaged nodes in the trees of the newest header.
    pub damaged_nodes: u64,
    /// Number of places behind which the order of the chunks was lost. Attachments count, too.
    pub unordered_parts: u64,
}

impl CopyReport {
    /// Whether the newest state of the file is there completely, apart from bodies and attachments.
    pub fn is_intact(&self) -> bool {
        self.unreadable == 0 && self.ends_with_header && self.damaged_nodes == 0
    }
}

/// What was recovered of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShardReport {
    /// Path of the file below the data directory.
    pub path: String,
    /// The database; the file's name if the file is not a shard.
    pub database: String,
    /// What was found in each copy.
    pub copies: Vec<CopyReport>,
    /// Numbers of its documents.
    pub documents: Counts,
    /// The largest number of documents, deleted documents included, that a header records.
    pub recorded: Option<u64>,
    /// Things to know about it.
    pub notes: Vec<String>,
}

impl ShardReport {
    /// Whether one of the copies ends with its newest header. A shard of which nothing is left shows no damaged documents.
    pub fn shows_newest_state(&self) -> bool {
        self.copies.iter().any(|copy| copy.ends_with_header)
    }

    /// Documents that a header counts and of which not even the id was found.
    pub fn nameless(&self) -> u64 {
        let known: u64 = Grade::ALL.iter().map(|&grade| self.documents.of(grade)).sum();
        self.recorded.unwrap_or(0).saturating_sub(known)
    }
}
