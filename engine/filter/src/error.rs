//! Why a filter cannot be used.

use outcome::{Advice, Code, Failure, FailureKind};

/// A filter gave nothing that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The filter failed.
    #[error("cannot restore {database} through the filter: {source}")]
    Failed {
        /// The database.
        database: String,
        /// Why.
        source: Box<Failure>,
    },
    /// What the filter gave back in place of a document cannot be this document.
    #[error(
        "cannot restore {database} through the filter: what it gives back for the document {id:?} is not usable: {problem}"
    )]
    NotTheDocument {
        /// The database.
        database: String,
        /// The document.
        id: String,
        /// What is wrong.
        problem: String,
    },
}

impl FilterError {
    /// A failure of a filter on documents of this database.
    pub fn failed(database: &str, source: Failure) -> Self {
        Self::Failed { database: database.to_owned(), source: Box::new(source) }
    }

    /// What is wrong with what takes the place of this document.
    pub fn not_the_document(database: &str, id: &str, problem: String) -> Self {
        Self::NotTheDocument { database: database.to_owned(), id: id.to_owned(), problem }
    }
}

impl Advice for FilterError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Failed { source, .. } => source.kind(),
            Self::NotTheDocument { .. } => FailureKind::Plugin,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Failed { source, .. } => source.code(),
            Self::NotTheDocument { .. } => Code::new("CC-P46"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Failed { source, .. } => source.remedy(),
            Self::NotTheDocument { .. } => Some(
                "A filter gives back a JSON object with the same `_id`, `_rev` and `_deleted`, and stubs of the attachments that stay. \
                 This is a bug in the plugin: report it to its author."
                    .into(),
            ),
        }
    }
}
