//! Objects that say who wrote them: a line of JSON, and a line with its signature.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::error::{RepositoryError, Result};

/// What is signed begins with this and the kind of the object, so that no object passes for one of another kind.
const CONTEXT: &str = "couchcopy repository object 1";

/// A key that signs.
pub(crate) struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        Ok(Self(pair.map_err(|_| RepositoryError::Bug("a seed gives no signing key"))?))
    }

    /// The public half, as 64 hexadecimal digits.
    pub(crate) fn public(&self) -> String {
        hex::encode(self.0.public_key().as_ref())
    }
}

/// The second line.
#[derive(Serialize, Deserialize)]
struct Seal {
    signer: String,
    signature: String,
}

fn message(kind: &str, payload: &str) -> Vec<u8> {
    format!("{CONTEXT}\n{kind}\n{payload}").into_bytes()
}

/// Signs something. The text of an object.
pub(crate) fn sign(kind: &str, payload: &impl Serialize, key: &SigningKey) -> Result<Vec<u8>> {
    let written = |_| RepositoryError::Bug("an object cannot be written as JSON");
    let payload = serde_json::to_string(payload).map_err(written)?;
    let signature = hex::encode(key.0.sign(&message(kind, &payload)).as_ref());
    let seal = serde_json::to_string(&Seal { signer: key.public(), signature }).map_err(written)?;
    Ok(format!("{payload}\n{seal}\n").into_bytes())
}

/// A signed text whose signature is valid.
pub(crate) struct Signed<'t> {
    pub(crate) payload: &'t str,
    /// The public key, as 64 hexadecimal digits.
    pub(crate) signer: String,
}

/// Checks the signature of an object. Whether the signer may be trusted is another question.
pub(crate) fn open<'t>(object: &str, kind: &str, text: &'t [u8]) -> Result<Signed<'t>> {
    let damaged = |problem: &str| RepositoryError::damaged(object, problem);
    let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
    let (payload, rest) = text.split_once('\n').ok_or_else(|| damaged("it is cut off"))?;
    let seal: Seal = serde_json::from_str(rest).map_err(|_| damaged("it has no signature"))?;
    let invalid =
        |problem: &str| RepositoryError::Signature { object: object.to_owned(), problem: problem.to_owned() };
    let public = hex::decode(&seal.signer).map_err(|_| invalid("its signer is not a key"))?;
    let signature = hex::decode(&seal.signature).map_err(|_| invalid("its signature is not a signature"))?;
    UnparsedPublicKey::new(&ED25519, public)
        .verify(&message(kind, payload), &signature)
        .map_err(|_| invalid("its signature is not valid: it was changed, or is not what its name says"))?;
    Ok(Signed { payload, signer: seal.signer.to_lowercase() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_seen() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let text = sign("snapshot", &serde_json::json!({"a": 1}), &key).unwrap();
        let signed = open("x", "snapshot", &text).unwrap();
        assert_eq!((signed.payload, signed.signer.as_str()), ("{\"a\":1}", key.public().as_str()));
        assert!(open("x", "keys", &text).is_err());
        for i in 0..text.len() {
            for bit in 0..8 {
                let mut other = text.clone();
                other[i] ^= 1 << bit;
                // The case of a hexadecimal digit and white space at the end say nothing.
                if let Ok(signed) = open("x", "snapshot", &other) {
                    assert_eq!(
                        (signed.payload, signed.signer.as_str()),
                        ("{\"a\":1}", key.public().as_str()),
                        "{i} {bit}"
                    );
                }
            }
            assert!(open("x", "snapshot", &text[..i]).is_err() || i == text.len() - 1, "{i}");
        }
    }
}
