//! The keys of encrypted places.

use std::io::{Cursor, Read};
use std::sync::Arc;

use encryption::{
    DecryptedSource, Identities, Recipients, START_LEN, decrypt_stream, is_armored, is_encrypted,
};
use outcome::{Failure, Result};

use crate::opened::Opened;

/// The keys of encrypted places.
#[derive(Default)]
pub struct Keys {
    /// Decrypt what is read.
    pub identities: Identities,
    /// For whom what is written is encrypted; nobody in particular if empty.
    pub recipients: Recipients,
}

impl Keys {
    /// Decrypts what was opened, if it is encrypted. Nothing decrypted is written anywhere.
    pub(crate) fn decrypt(&self, opened: Opened, name: &str) -> Result<Opened> {
        match opened {
            Opened::Ranges { source, identity } => {
                let mut start = vec![0; source.len().min(START_LEN as u64) as usize];
                source.read_exact_at(&mut start, 0).map_err(|error| unreadable(error, name))?;
                if !is_encrypted(&start) && !is_armored(&start) {
                    return Ok(Opened::Ranges { source, identity });
                }
                let decrypted = DecryptedSource::open(source, name, &self.identities)?;
                Ok(Opened::Ranges { source: Arc::new(decrypted), identity })
            }
            Opened::Stream(mut stream) => {
                let mut start = Vec::new();
                let mut first = stream.by_ref().take(START_LEN as u64);
                first.read_to_end(&mut start).map_err(|error| unreadable(error, name))?;
                let is_ours = is_encrypted(&start) || is_armored(&start);
                let stream: Box<dyn Read + Send> = Box::new(Cursor::new(start).chain(stream));
                Ok(Opened::Stream(if is_ours {
                    decrypt_stream(stream, name, &self.identities)?
                } else {
                    stream
                }))
            }
        }
    }
}

/// A failure that a store reports, or else a failed system call.
fn unreadable(error: std::io::Error, name: &str) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => Failure::io("read", name, error),
    }
}
