//! The archives that Debian packages are.
//!
//! Source: deb(5), and ar(5): the magic, then for each member a header of 60 bytes and the content, padded to an even length.

/// An archive of these members: name, content.
pub(crate) fn archive(members: &[(&str, &[u8])], epoch: i64) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!("{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, "100644", content.len());
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_begin_at_even_places() {
        let made = archive(&[("a", b"xyz"), ("b", b"")], 7);
        assert_eq!(made.len(), 8 + 60 + 4 + 60);
        assert_eq!(&made[8 + 58..8 + 60], b"`\n");
        assert_eq!(&made[72..74], b"b ");
    }
}
