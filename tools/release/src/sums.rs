//! Checksums as `sha256sum -c` reads them.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

/// A line for each file.
pub(crate) fn sums<'f>(files: impl Iterator<Item = (&'f str, &'f [u8])>) -> String {
    let mut text = String::new();
    for (name, content) in files {
        let _ = writeln!(text, "{}  {name}", hex::encode(digest(&SHA256, content)));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_is_what_sha256sum_prints() {
        let files = [("a", b"abc".as_slice())];
        assert_eq!(
            super::sums(files.into_iter()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n"
        );
    }
}
