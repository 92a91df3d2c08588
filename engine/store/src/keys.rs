//! The keys of encrypted places.

use std::path::PathBuf;
use std::sync::Arc;

use encryption::{DecryptedSource, Identities, Recipients, START_LEN, is_armored, is_encrypted};
use outcome::{Failure, Result};

use crate::opened::Opened;

/// The keys of encrypted places.
#[derive(Default)]
pub struct Keys {
    /// Decrypt what is read.
    pub identities: Identities,
    /// For whom what is written is encrypted; nobody in particular if empty.
    pub recipients: Recipients,
    /// The file with the key of this machine for a repository; `None`: the usual one.
    pub host_key: Option<PathBuf>,
    /// The public keys whose signatures are believed, if not those that a repository lists.
    pub signers: Vec<String>,
}

impl Keys {
    /// Decrypts what was opened, if it is encrypted. Nothing decrypted is written anywhere.
    pub(crate) fn decrypt(&self, opened: Opened, name: &str) -> Result<Opened> {
        let Opened { source, identity } = opened;
        let mut start = vec![0; source.len().min(START_LEN as u64) as usize];
        source.read_exact_at(&mut start, 0).map_err(|error| unreadable(error, name))?;
        if !is_encrypted(&start) && !is_armored(&start) {
            return Ok(Opened { source, identity });
        }
        let decrypted = DecryptedSource::open(source, name, &self.identities)?;
        Ok(Opened { source: Arc::new(decrypted), identity })
    }
}

/// A failure that a store reports, or else a failed system call.
fn unreadable(error: std::io::Error, name: &str) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => Failure::io("read", name, error),
    }
}
