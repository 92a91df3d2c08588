//! Epochs: which node owned a database from which sequence on.

use crate::error::TermError;
use crate::term::{Decoder, Encoder, Token};

/// From which sequence on which node wrote a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// The node's name, e.g. `couchdb@127.0.0.1`.
    pub node: String,
    /// The last sequence before this node took over.
    pub seq: u64,
}

/// Reads the list, or an atom where there is none yet.
pub(super) fn decode_epochs(decoder: &mut Decoder<'_>) -> Result<Vec<Epoch>, TermError> {
    if matches!(decoder.peek()?, Token::Atom(_)) {
        return Ok(Vec::new());
    }
    let mut epochs = Vec::new();
    decoder.list_items(|d| -> Result<(), TermError> {
        d.tuple_of(2)?;
        let node = String::from_utf8_lossy(d.atom()?).into_owned();
        epochs.push(Epoch { node, seq: d.uint()? });
        Ok(())
    })?;
    Ok(epochs)
}

/// The encoded list.
pub(super) fn encode_epochs(epochs: &[Epoch]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.list(epochs.len());
    for epoch in epochs {
        encoder.tuple(2).atom(epoch.node.as_bytes()).uint(epoch.seq);
    }
    if !epochs.is_empty() {
        encoder.nil();
    }
    encoder.finish()
}
