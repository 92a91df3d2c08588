//! The kinds of plugins.

use std::fmt;

use serde::Serialize;

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Starts and stops CouchDB: world `service-control`.
    Service,
    /// Says how a command reaches a node: world `node-access`, or `node-access-with-tunnel`.
    Access,
    /// Decides what becomes of documents in a restore: world `document-filter`.
    Filter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Service, Self::Access, Self::Filter];

    /// Whether plugins of this kind have commands.
    pub fn runs_commands(self) -> bool {
        self != Self::Filter
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Access => "node-access",
            Self::Filter => "document-filter",
        })
    }
}
