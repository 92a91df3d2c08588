//! Documents that pass through a plugin on their way into a restore.

use std::sync::Arc;

use filter::{Filter, Glance, Session, Verdict};
use outcome::{Code, Failure, Result};
use plugin_host::{DocumentFilter, FilterInstance};

/// A plugin as a filter.
#[derive(Debug, Clone)]
pub struct PluginFilter(DocumentFilter);

impl PluginFilter {
    /// This plugin, with its settings.
    pub fn new(plugin: DocumentFilter) -> Self {
        Self(plugin)
    }
}

impl Filter for PluginFilter {
    fn at_a_glance(&self, _: Glance<'_>) -> Option<Verdict> {
        None
    }

    fn session(&self, database: &str) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PluginSession(self.0.instance(database)?)))
    }

    fn identity(&self) -> String {
        format!("plugin {}", self.0.identity())
    }

    fn meaning(&self) -> String {
        format!(
            "Every document passes through the plugin {}, which may change it or leave it out. Never replicate this copy with the \
             original: the revision ids are the same, but the contents differ.",
            self.0.shown()
        )
    }
}

/// An instance of a plugin.
struct PluginSession(FilterInstance);

impl Session for PluginSession {
    fn judge(&mut self, revision: Glance<'_>, document: &[u8]) -> Result<Verdict> {
        let id = revision.id;
        let document = std::str::from_utf8(document)
            .map_err(|e| Failure::bug(format!("the document {id:?} was not written as UTF-8: {e}")))?;
        Ok(match self.0.filter(id, document)? {
            plugin_host::Verdict::Keep => Verdict::Keep,
            plugin_host::Verdict::Replace(text) => Verdict::Replace(text.into_bytes()),
            plugin_host::Verdict::LeaveOut => Verdict::LeaveOut,
        })
    }
}

/// Whether the documents of a restore pass through a filter.
#[derive(Debug, Clone, Default)]
pub enum Transformation {
    /// They do not.
    #[default]
    None,
    /// They do.
    By {
        /// The filter.
        filter: Arc<dyn Filter>,
        /// What it is called, for people: name and version of a plugin.
        name: String,
    },
    /// They have passed through one, and are complete next to the old data: the restore is finished without the filter.
    Done {
        /// What it is called.
        name: String,
    },
}

impl Transformation {
    /// A plugin that all documents pass through.
    pub fn by(plugin: DocumentFilter) -> Self {
        let name = plugin.shown();
        Self::By { filter: Arc::new(PluginFilter::new(plugin)), name }
    }

    /// Whether nothing is transformed.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// What the filter is called.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::By { name, .. } | Self::Done { name } => Some(name),
        }
    }

    /// Fails if the filter does not take its settings, tried with a database of the backup.
    pub(crate) fn try_out(&self, database: Option<&str>) -> Result<()> {
        if let (Self::By { filter, .. }, Some(database)) = (self, database) {
            filter.session(database)?;
        }
        Ok(())
    }

    /// The filter for documents that are written over HTTP, if there is one.
    pub fn shared(&self) -> Option<Arc<dyn Filter>> {
        match self {
            Self::By { filter, .. } => Some(Arc::clone(filter)),
            Self::None | Self::Done { .. } => None,
        }
    }

    /// The filter for documents that are written now.
    ///
    /// Fails if there has to be one and it is not known any more.
    pub(crate) fn filter(&self) -> Result<Option<&dyn Filter>> {
        match self {
            Self::None => Ok(None),
            Self::By { filter, .. } => Ok(Some(&**filter)),
            Self::Done { name } => Err(unfinished(name)),
        }
    }
}

/// Refuses to finish a restore whose documents have not all passed through the filter.
pub(crate) fn unfinished(name: &str) -> Failure {
    Failure::refused(
        Code::new("CC-R87"),
        format!(
            "the restore was interrupted before every document had passed through the plugin {name}, whose settings are not recorded"
        ),
        "Nothing has been replaced. Run `couchcopy restore --roll-back NODE…`, which removes what was copied, then the restore \
         again, with --transform.",
    )
}
