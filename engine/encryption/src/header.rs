//! The header: the file key, once for each recipient.
//!
//! Source: <https://c2sp.org/age>, "Header". It is text of ASCII lines that end in LF:
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 Y9gC1D8Yp1…
//! lq1Fjtlyrl…
//! --- S7qgF3…
//! ```
//!
//! An entry ("stanza") begins with `->`, its type and its arguments. Its body follows in Base64 without padding, in lines of 64
//! characters and a last line that is shorter and may be empty. The last line of the header holds a MAC over everything up to its
//! `---`.

use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use outcome::printable;

use crate::format::{ANY_VERSION, VERSION_LINE, is_armored};
use crate::payload_key::{MAC_LEN, header_mac, verify_header};

/// The largest header that is read or written, in bytes. An entry has about 150 bytes, with an RSA key up to 2 KiB.
pub(crate) const MOST: usize = 1024 * 1024;

/// The type of the entry for a passphrase. It is the only entry of its header.
const PASSPHRASE: &str = "scrypt";

/// Number of characters in a full line of a body.
const COLUMNS: usize = 64;

/// The header of a file.
pub(crate) struct Header {
    /// What each recipient needs to get at the file key.
    pub(crate) stanzas: Vec<Stanza>,
    /// Length in bytes, with the line end of the last line.
    pub(crate) len: usize,
    covered: Vec<u8>,
    mac: [u8; MAC_LEN],
}

/// Why a header cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    /// It goes on behind the bytes that are there.
    Incomplete,
    /// The file is not in age's format.
    NotEncrypted,
    /// Another version of the format.
    NewerVersion,
    /// The armored format.
    Armored,
    /// It is damaged.
    Damaged(String),
}

impl Header {
    /// Reads the header from the beginning of a file. `start` may go on behind the header.
    pub(crate) fn parse(start: &[u8]) -> Result<Self, HeaderProblem> {
        let mut lines = Lines { bytes: start, position: 0 };
        if !start.starts_with(VERSION_LINE) {
            return Err(other_format(start));
        }
        lines.position = VERSION_LINE.len();
        let mut stanzas = Vec::new();
        loop {
            let begin = lines.position;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix("--- ") {
                let mac = BASE64.decode(mac).ok().and_then(|mac| mac.try_into().ok());
                let header = Self {
                    covered: start[..begin + "---".len()].to_vec(),
                    mac: mac.ok_or_else(|| damaged("its MAC is not one"))?,
                    len: lines.position,
                    stanzas,
                };
                header.check()?;
                return Ok(header);
            }
            stanzas.push(stanza(line, &mut lines)?);
        }
    }

    /// The bytes of a header with these entries.
    pub(crate) fn encode(file_key: &FileKey, stanzas: &[Stanza]) -> Option<Vec<u8>> {
        let mut text = String::from_utf8_lossy(VERSION_LINE).into_owned();
        for stanza in stanzas {
            text.push_str("-> ");
            text.push_str(&stanza.tag);
            for arg in &stanza.args {
                text.push(' ');
                text.push_str(arg);
            }
            text.push('\n');
            let body = BASE64.encode(&stanza.body);
            let mut rest = body.as_str();
            while rest.len() >= COLUMNS {
                let (line, after) = rest.split_at(COLUMNS);
                text.push_str(line);
                text.push('\n');
                rest = after;
            }
            text.push_str(rest);
            text.push('\n');
        }
        text.push_str("---");
        let mac = header_mac(file_key, text.as_bytes())?;
        text.push(' ');
        text.push_str(&BASE64.encode(mac));
        text.push('\n');
        Some(text.into_bytes())
    }

    /// Whether the header was made by somebody who knows the file key, and is unchanged since.
    pub(crate) fn is_authentic(&self, file_key: &FileKey) -> bool {
        verify_header(file_key, &self.covered, &self.mac)
    }

    /// Whether the file is encrypted with a passphrase.
    pub(crate) fn has_passphrase(&self) -> bool {
        self.stanzas.iter().any(|stanza| stanza.tag == PASSPHRASE)
    }

    /// What the file is encrypted for, in words.
    pub(crate) fn recipients(&self) -> String {
        if self.has_passphrase() {
            return "with a passphrase".into();
        }
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        // Entries of this name belong to nobody. Programs add them so that readers ignore what they do not know.
        for stanza in self.stanzas.iter().filter(|stanza| !stanza.tag.ends_with("-grease")) {
            if let Some((_, count)) = kinds.iter_mut().find(|(kind, _)| *kind == stanza.tag) {
                *count += 1;
            } else if kinds.len() < 8 {
                kinds.push((&stanza.tag, 1));
            }
        }
        if kinds.is_empty() {
            return "for no recipient".into();
        }
        let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| counted(kind, count)).collect();
        format!("for {}", kinds.join(" and "))
    }

    /// A passphrase is an entry alone: otherwise whoever knows it could not be sure who wrote the file.
    fn check(&self) -> Result<(), HeaderProblem> {
        if self.has_passphrase() && self.stanzas.len() > 1 {
            return Err(damaged("it has a passphrase and other entries"));
        }
        Ok(())
    }
}

fn counted(kind: &str, count: usize) -> String {
    let s = if count == 1 { "" } else { "s" };
    match kind {
        "X25519" => format!("{count} age key{s}"),
        "ssh-ed25519" | "ssh-rsa" => format!("{count} {kind} key{s}"),
        other => {
            let name: String = printable(other).chars().take(40).collect();
            format!("{count} recipient{s} of the unknown type {name}")
        }
    }
}

fn damaged(reason: impl Into<String>) -> HeaderProblem {
    HeaderProblem::Damaged(reason.into())
}

/// What a file is that does not begin with the first line of the format.
fn other_format(start: &[u8]) -> HeaderProblem {
    if VERSION_LINE.starts_with(start) && !start.is_empty() {
        HeaderProblem::Incomplete
    } else if let Some(version) = start.strip_prefix(ANY_VERSION) {
        match version {
            [b'1', after, ..] if !after.is_ascii_digit() => damaged("its first line is malformed"),
            _ => HeaderProblem::NewerVersion,
        }
    } else if is_armored(start) {
        HeaderProblem::Armored
    } else {
        HeaderProblem::NotEncrypted
    }
}

/// Reads the entry whose first line is `line`.
fn stanza(line: &str, lines: &mut Lines<'_>) -> Result<Stanza, HeaderProblem> {
    let words = line.strip_prefix("-> ").ok_or_else(|| damaged("a line is neither an entry nor the end"))?;
    let mut words = words.split(' ').map(|word| {
        // Visible characters only.
        let visible = !word.is_empty() && word.bytes().all(|byte| (33..=126).contains(&byte));
        visible.then(|| word.to_owned()).ok_or_else(|| damaged("the first line of an entry is malformed"))
    });
    let tag = words.next().ok_or_else(|| damaged("an entry has no type"))??;
    let args = words.collect::<Result<_, _>>()?;
    let mut body = Vec::new();
    loop {
        let line = lines.next()?;
        // Refuses padding and bits that are left over, so that there is one way only to write a body.
        if line.len() > COLUMNS || BASE64.decode_vec(line, &mut body).is_err() {
            return Err(damaged("the body of an entry is not Base64"));
        }
        if line.len() < COLUMNS {
            return Ok(Stanza { tag, args, body });
        }
    }
}

struct Lines<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> Lines<'b> {
    /// The next line without its line end.
    fn next(&mut self) -> Result<&'b str, HeaderProblem> {
        let rest = &self.bytes[self.position..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| {
            if self.bytes.len() < MOST {
                HeaderProblem::Incomplete
            } else {
                damaged(format!("it does not end within {MOST} bytes"))
            }
        })?;
        self.position += end + 1;
        let line = &rest[..end];
        line.is_ascii()
            .then_some(line)
            .and_then(|line| std::str::from_utf8(line).ok())
            .ok_or_else(|| damaged("it is not text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FileKey {
        FileKey::new(Box::new([9; 16]))
    }

    fn of(body_len: usize) -> Stanza {
        Stanza { tag: "test".into(), args: vec!["a".into(), "b!".into()], body: vec![5; body_len] }
    }

    fn problem(start: &[u8]) -> HeaderProblem {
        Header::parse(start).err().unwrap()
    }

    #[test]
    fn every_length_of_a_body_is_read_back() {
        let stanzas: Vec<Stanza> = (0..150).map(of).collect();
        let mut bytes = Header::encode(&key(), &stanzas).unwrap();
        let len = bytes.len();
        bytes.extend_from_slice(b"\xffpayload\n");
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.len, len);
        assert_eq!(header.stanzas, stanzas);
        assert!(header.is_authentic(&key()));
        assert!(!header.is_authentic(&FileKey::new(Box::new([8; 16]))));
        for end in 1..len {
            assert_eq!(problem(&bytes[..end]), HeaderProblem::Incomplete, "{end}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        assert_eq!(problem(b""), HeaderProblem::NotEncrypted);
        assert_eq!(problem(b"\x1f\x8b"), HeaderProblem::NotEncrypted);
        assert_eq!(problem(b"age-encryption.org/v2\n"), HeaderProblem::NewerVersion);
        assert_eq!(problem(b"age-encryption.org/v10\n"), HeaderProblem::NewerVersion);
        assert!(matches!(problem(b"age-encryption.org/v1\r\n"), HeaderProblem::Damaged(_)));
        assert_eq!(problem(b"-----BEGIN AGE ENCRYPTED FILE-----\n"), HeaderProblem::Armored);
        for rest in [
            "\n",
            "--- AAAA\n",
            "---\n",
            "-> \n\n",
            "-> a  b\n\n",
            "-> a\u{7f}\n\n",
            "-> \u{e4}\n\n",
            "-> a\nA\n",
            "-> a\nAB\n",
            "-> a\nAA==\n",
            "-> a\n@@@@\n",
            "-> scrypt\n\n-> a\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        ] {
            let bytes = [VERSION_LINE, rest.as_bytes()].concat();
            assert!(matches!(problem(&bytes), HeaderProblem::Damaged(_)), "{rest:?}");
        }
    }

    #[test]
    fn a_header_without_end_is_given_up() {
        let bytes = [VERSION_LINE, b"-> ", &vec![b'a'; MOST]].concat();
        assert!(matches!(problem(&bytes), HeaderProblem::Damaged(_)));
    }

    #[test]
    fn recipients_are_told_by_their_types() {
        let stanza = |tag: &str| Stanza { tag: tag.into(), args: vec![], body: vec![] };
        let tell = |tags: &[&str]| {
            let stanzas: Vec<Stanza> = tags.iter().map(|tag| stanza(tag)).collect();
            Header::parse(&Header::encode(&key(), &stanzas).unwrap()).unwrap().recipients()
        };
        assert_eq!(tell(&["X25519", "ssh-rsa", "X25519", "a-grease"]), "for 2 age keys and 1 ssh-rsa key");
        assert_eq!(tell(&["scrypt"]), "with a passphrase");
        assert_eq!(tell(&["piv-p256"]), "for 1 recipient of the unknown type piv-p256");
        assert_eq!(tell(&[]), "for no recipient");
    }
}
