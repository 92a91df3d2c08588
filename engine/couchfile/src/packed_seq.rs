//! The opaque update sequences that CouchDB gives to clients, in `update_seq`, `seq` and `last_seq`.
//!
//! `SUM-BASE64`, where the second part is a list of terms `{Node, [Begin, End], Seq}`, one for each range, as text in base64 for
//! URLs. `Seq` is a number or `{Seq, UuidPrefix, EpochNode}`: sequences count the changes of one copy of a range, which the uuid
//! of its file distinguishes from other copies.
//!
//! Source: `fabric_view_changes.erl` (`pack_seqs/1`, `unpack_seqs/2`).

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::compression;
use crate::data_dir::Range;
use crate::error::TermError;
use crate::term::{Decoder, Token};

/// Longest text that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// The most terms that a part of a sequence nests.
const DEEPEST: usize = 16;

/// CouchDB omits the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The sequence of one range in an opaque sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSeq {
    /// The range.
    pub range: Range,
    /// The node of the copy.
    pub node: String,
    /// The sequence in that copy.
    pub seq: u64,
    /// The first digits of the uuid of that copy's file; `None` in sequences of an older CouchDB.
    pub uuid_prefix: Option<String>,
}

/// The text is not an update sequence of CouchDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an update sequence as CouchDB gives them: {0}")]
pub struct PackedSeqError(String);

/// Reads an opaque sequence: `SUM-BASE64`, as JSON shows it or within quotation marks.
pub fn unpack(text: &str) -> Result<Vec<RangeSeq>, PackedSeqError> {
    let wrong = |what: &str| PackedSeqError(what.to_owned());
    let text = text.trim().trim_matches('"');
    if text.len() > LONGEST {
        return Err(wrong("it is too long"));
    }
    let (sum, packed) = text.split_once('-').ok_or_else(|| wrong("it has no dash"))?;
    if sum.is_empty() || !sum.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong("it does not begin with a number"));
    }
    let packed = BASE64.decode(packed).map_err(|e| PackedSeqError(e.to_string()))?;
    let term = compression::unpack(&packed).map_err(PackedSeqError)?;
    let mut decoder = term.decoder();
    let ranges = ranges(&mut decoder).map_err(|e| PackedSeqError(e.to_string()))?;
    if ranges.is_empty() { Err(wrong("it names no range")) } else { Ok(ranges) }
}

fn ranges(decoder: &mut Decoder<'_>) -> Result<Vec<RangeSeq>, TermError> {
    let mut found = Vec::new();
    decoder.list_items(|decoder| {
        decoder.tuple_of(3)?;
        let node = String::from_utf8_lossy(decoder.atom()?).into_owned();
        let mut ends = Vec::new();
        decoder.list_items(|decoder| {
            let end = u32::try_from(decoder.uint()?).map_err(|_| decoder.error("no range"))?;
            ends.push(end);
            Ok::<(), TermError>(())
        })?;
        let [begin, end] = ends[..] else { return Err(decoder.error("no range")) };
        let (seq, uuid_prefix) = sequence(decoder, 0)?;
        found.push(RangeSeq { range: Range { begin, end }, node, seq, uuid_prefix });
        Ok::<(), TermError>(())
    })?;
    decoder.end()?;
    Ok(found)
}

/// `Seq`, `{Seq, Uuid, Node}`, `{Seq, {split, Uuid}, Node}`, or `{replace, Node, Uuid, Seq}` for a copy that was moved.
fn sequence(decoder: &mut Decoder<'_>, depth: usize) -> Result<(u64, Option<String>), TermError> {
    if depth > DEEPEST {
        return Err(decoder.error("nested too deeply"));
    }
    match decoder.peek()? {
        Token::Int(_) => Ok((decoder.uint()?, None)),
        Token::Tuple(size) => {
            decoder.tuple()?;
            if size == 4 && decoder.take_atom(b"replace")? {
                decoder.skip()?;
                let uuid = uuid(decoder)?;
                let (seq, _) = sequence(decoder, depth + 1)?;
                return Ok((seq, uuid));
            }
            if !(2..=3).contains(&size) {
                return Err(decoder.error("no sequence"));
            }
            let (seq, _) = sequence(decoder, depth + 1)?;
            let uuid = uuid(decoder)?;
            for _ in 2..size {
                decoder.skip()?;
            }
            Ok((seq, uuid))
        }
        _ => Err(decoder.error("no sequence")),
    }
}

fn uuid(decoder: &mut Decoder<'_>) -> Result<Option<String>, TermError> {
    match decoder.peek()? {
        Token::Binary(_) => Ok(Some(String::from_utf8_lossy(decoder.binary()?).into_owned())),
        Token::Tuple(2) => {
            decoder.tuple()?;
            decoder.skip()?;
            Ok(Some(String::from_utf8_lossy(decoder.binary()?).into_owned()))
        }
        _ => {
            decoder.skip()?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    fn pack(write: impl FnOnce(&mut Encoder)) -> String {
        let mut encoder = Encoder::versioned();
        write(&mut encoder);
        format!("12-{}", BASE64.encode(encoder.finish()).trim_end_matches('='))
    }

    #[test]
    fn sequences_of_both_forms_are_read() {
        let text = pack(|e| {
            e.list(2);
            e.tuple(3).atom(b"couchdb@a").list(2).uint(0).uint(0x7fff_ffff).nil();
            e.tuple(3).uint(7).binary(b"0123abc").atom(b"couchdb@a");
            e.tuple(3).atom(b"couchdb@b").list(2).uint(0x8000_0000).uint(u64::from(u32::MAX)).nil().uint(5);
            e.nil();
        });
        let ranges = unpack(&text).unwrap();
        assert_eq!(ranges.len(), 2);
        assert_eq!((ranges[0].seq, ranges[0].uuid_prefix.as_deref()), (7, Some("0123abc")));
        assert_eq!(ranges[0].range.to_string(), "00000000-7fffffff");
        assert_eq!((ranges[1].seq, ranges[1].node.as_str()), (5, "couchdb@b"));
        assert_eq!(unpack(&format!("\"{text}\"")).unwrap(), ranges);
    }

    #[test]
    fn other_texts_are_refused() {
        for wrong in ["", "7", "now", "12-", "x-g2o", "12-!!", "12-g2o", "12-g2wAAAABYQE"] {
            assert!(unpack(wrong).is_err(), "{wrong}");
        }
        let deep = pack(|e| {
            e.list(1).tuple(3).atom(b"n").list(2).uint(0).uint(999).nil();
            for _ in 0..1000 {
                e.tuple(3);
            }
        });
        assert!(unpack(&deep).is_err());
    }
}
