//! How a file in age's format begins.

/// Number of bytes that [`is_encrypted`] and [`is_armored`] need to see.
pub const START_LEN: usize = ARMOR_START.len();

/// The first line of the binary format, version 1, with its line end.
pub(crate) const VERSION_LINE: &[u8] = b"age-encryption.org/v1\n";

/// What the first line of every version begins with.
pub(crate) const ANY_VERSION: &[u8] = b"age-encryption.org/v";

/// The first line of the armored (PEM) format, without its line end.
const ARMOR_START: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Whether a file that begins with these bytes is encrypted in age's binary format, of any version.
///
/// `start` is the beginning of the file, at least [`START_LEN`] bytes of it if it is that long. A version that this program does
/// not know counts too, so that reading the file fails with a message that says so.
pub fn is_encrypted(start: &[u8]) -> bool {
    start.starts_with(ANY_VERSION)
}

/// Whether a file that begins with these bytes is encrypted in age's armored format: Base64 between two lines of dashes.
///
/// Such a file cannot be read by ranges. [`DecryptedSource`](crate::DecryptedSource) and
/// [`decrypt_stream`](crate::decrypt_stream) refuse it and say how to convert it.
///
/// `start` is the beginning of the file, at least [`START_LEN`] bytes of it if it is that long.
pub fn is_armored(start: &[u8]) -> bool {
    start.trim_ascii_start().starts_with(ARMOR_START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_by_its_first_line() {
        assert!(is_encrypted(b"age-encryption.org/v1\n-> X25519 "));
        assert!(is_encrypted(b"age-encryption.org/v2\n"));
        assert!(!is_encrypted(b"age-encryption.org"));
        assert!(!is_encrypted(&[0x1f, 0x8b, 8, 0]));
        assert!(!is_encrypted(b""));
        assert!(is_armored(b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl"));
        assert!(!is_armored(b"-----BEGIN OPENSSH PRIVATE KEY-----"));
        assert!(START_LEN > VERSION_LINE.len());
    }
}
