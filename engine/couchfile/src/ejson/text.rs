//! Strings as JSON text.

/// Writes a string with its quotes.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a string to a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}
