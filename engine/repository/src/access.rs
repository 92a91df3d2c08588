//! How a repository is reached and whom it is believed.

use std::path::PathBuf;
use std::sync::Arc;

use outcome::report::Reporter;
use store::{Directory, Keys, Location, Place};

use crate::error::RepositoryError;

/// How a repository is reached.
#[derive(Clone)]
pub struct Access {
    /// Where its objects are.
    pub directory: Directory,
    /// The keys that the user gives, to open what is encrypted.
    pub keys: Arc<Keys>,
    /// The file with the key of this machine; `None`: the usual one.
    pub host_key: Option<PathBuf>,
    /// Whose signatures are believed.
    pub trust: Trust,
    /// Whether copies of small objects of a store are kept on this machine, and read.
    pub keeps_copies: bool,
    /// Hears what is suspicious in the repository.
    pub reporter: Option<Arc<dyn Reporter + Send>>,
}

impl Access {
    /// Of a place that names a repository, or a backup in one; `None` if it can be neither.
    ///
    /// Fails if it would be a directory that does not exist.
    pub fn of(place: &Place) -> outcome::Result<Option<Self>> {
        if let Location::Path(path) = place.whole()
            && !path.is_dir()
        {
            return Err(RepositoryError::NotThere { place: path.display().to_string() }.into());
        }
        let Some(directory) = place.directory()? else { return Ok(None) };
        let keys = Arc::clone(place.keys());
        let trust = match keys.signers.as_slice() {
            [] => Trust::Listed,
            signers => Trust::Pinned(signers.to_vec()),
        };
        let reporter = place.reporter().cloned();
        Ok(Some(Self {
            directory,
            host_key: keys.host_key.clone(),
            keys,
            trust,
            keeps_copies: true,
            reporter,
        }))
    }
}

/// Whose signatures are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the keys that the repository lists.
    #[default]
    Listed,
    /// Those of these public keys (64 hexadecimal digits each) alone.
    Pinned(Vec<String>),
}

impl Trust {
    /// Whether a signature of this key is believed, if the repository lists it or not.
    pub(crate) fn accepts(&self, public: &str, is_listed: bool) -> bool {
        match self {
            Self::Listed => is_listed,
            Self::Pinned(keys) => keys.iter().any(|key| key.eq_ignore_ascii_case(public)),
        }
    }
}
