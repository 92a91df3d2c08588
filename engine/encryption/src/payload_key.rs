//! The keys that are derived from a file's key.
//!
//! Source: <https://c2sp.org/age>, "Header MAC" and "Payload". Both keys are HKDF-SHA-256 of the file key.

use age_core::format::FileKey;
use age_core::secrecy::ExposeSecret;
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

/// Length of the nonce between header and payload, in bytes.
pub(crate) const NONCE_LEN: usize = 16;

/// Length of the header's MAC, in bytes.
pub(crate) const MAC_LEN: usize = 32;

/// The key for the chunks, derived with the nonce in front of them.
pub(crate) fn payload_key(file_key: &FileKey, nonce: &[u8; NONCE_LEN]) -> Option<Zeroizing<[u8; 32]>> {
    derive(file_key, nonce, b"payload")
}

/// The MAC of a header: HMAC-SHA-256 over its bytes up to and including `---`.
pub(crate) fn header_mac(file_key: &FileKey, covered: &[u8]) -> Option<[u8; MAC_LEN]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*derive(file_key, &[], b"header")?);
    hmac::sign(&key, covered).as_ref().try_into().ok()
}

/// Whether a header has this MAC. Takes the same time for every wrong MAC.
pub(crate) fn verify_header(file_key: &FileKey, covered: &[u8], mac: &[u8; MAC_LEN]) -> bool {
    derive(file_key, &[], b"header")
        .is_some_and(|key| hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &*key), covered, mac).is_ok())
}

/// `None` cannot happen: the length asked for is one that HKDF provides.
fn derive(file_key: &FileKey, salt: &[u8], info: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(file_key.expose_secret())
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut *key))
        .ok()?;
    Some(key)
}
