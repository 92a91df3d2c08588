//! Terms to JSON text.

use super::number::{decimal, write_float};
use super::text::write_text;
use crate::error::TermError;
use crate::term::{Decoder, ListHead, Token};

/// Longest integer that is written out, in bytes of magnitude: 600,000 digits, which take some seconds to compute.
const MAX_BIG: usize = 256 << 10;

/// How a zero with a minus is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NegativeZero {
    /// As `0.0`, which is how CouchDB shows it.
    #[default]
    Hidden,
    /// As `-0.0`, which is what a CouchDB has to read to store it again.
    Kept,
}

/// What is open around the value being written.
enum Open {
    /// An object: members left.
    Object(usize),
    /// An array: elements left.
    Array(usize),
}

/// Writes a term as JSON text to `out`, as CouchDB shows it.
///
/// Atoms other than true, false and null become strings; lists that are stored as bytes become arrays of integers. Fails for
/// tuples that are no object, and for maps: no JSON becomes either.
pub fn write_json(decoder: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), TermError> {
    write_json_with(decoder, NegativeZero::Hidden, out)
}

/// The term as JSON text, with a choice of how a zero with a minus is written.
pub fn write_json_with(
    decoder: &mut Decoder<'_>,
    zero: NegativeZero,
    out: &mut Vec<u8>,
) -> Result<(), TermError> {
    let mut open: Vec<Open> = Vec::new();
    loop {
        write_value(decoder, zero, &mut open, out)?;
        // Close what is complete, then begin the next member or element.
        loop {
            match open.last_mut() {
                None => return Ok(()),
                Some(Open::Object(0)) => {
                    decoder.list_end()?;
                    out.push(b'}');
                    open.pop();
                }
                Some(Open::Array(0)) => {
                    decoder.list_end()?;
                    out.push(b']');
                    open.pop();
                }
                Some(Open::Object(left)) => {
                    *left -= 1;
                    if !out.ends_with(b"{") {
                        out.push(b',');
                    }
                    decoder.tuple_of(2)?;
                    write_key(decoder, out)?;
                    break;
                }
                Some(Open::Array(left)) => {
                    *left -= 1;
                    if !out.ends_with(b"[") {
                        out.push(b',');
                    }
                    break;
                }
            }
        }
    }
}

/// Writes the members of an object that is stored without its 1-tuple (a list of pairs, as `_security` is) as a JSON
/// object. A zero keeps its minus.
pub fn write_members(decoder: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), TermError> {
    out.push(b'{');
    let mut first = true;
    decoder.list_items(|d| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        d.tuple_of(2)?;
        write_key(d, out)?;
        write_json_with(d, NegativeZero::Kept, out)
    })?;
    out.push(b'}');
    Ok(())
}

fn write_key(decoder: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), TermError> {
    let (Token::Binary(key) | Token::Atom(key)) = decoder.token()? else {
        return Err(decoder.error("key is neither binary nor atom"));
    };
    write_string(key, out);
    out.push(b':');
    Ok(())
}

fn write_value(
    decoder: &mut Decoder<'_>,
    zero: NegativeZero,
    open: &mut Vec<Open>,
    out: &mut Vec<u8>,
) -> Result<(), TermError> {
    match decoder.token()? {
        Token::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Token::Big { negative, magnitude } => {
            if magnitude.len() > MAX_BIG {
                return Err(decoder.error("integer too large to be written out"));
            }
            if negative {
                out.push(b'-');
            }
            out.extend_from_slice(decimal(magnitude).as_bytes());
        }
        Token::Float(value) if value.is_finite() => write_float(value, zero, out),
        Token::Float(_) => return Err(decoder.error("not a number")),
        Token::Atom(name @ (b"true" | b"false" | b"null")) => out.extend_from_slice(name),
        Token::Atom(text) | Token::Binary(text) => write_string(text, out),
        Token::Nil => out.extend_from_slice(b"[]"),
        Token::ByteList(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(item.to_string().as_bytes());
            }
            out.push(b']');
        }
        Token::List(n) => {
            out.push(b'[');
            open.push(Open::Array(n));
        }
        Token::Tuple(1) => match decoder.list()? {
            ListHead::Elements(0) => out.extend_from_slice(b"{}"),
            ListHead::Elements(n) => {
                out.push(b'{');
                open.push(Open::Object(n));
            }
            ListHead::Bytes(_) => return Err(decoder.error("object without pairs")),
        },
        Token::Tuple(_) | Token::Map(_) => return Err(decoder.error("no JSON value")),
    }
    Ok(())
}

fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    write_text(&String::from_utf8_lossy(bytes), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_json(&mut Decoder::new(bytes), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values() {
        let mut e = Encoder::new();
        e.tuple(1).list(4);
        e.tuple(2).binary(b"a").byte_list(&[1, 255]);
        e.tuple(2).binary(b"b").tuple(1).nil();
        e.tuple(2).atom(b"partitioned").atom(b"true");
        e.tuple(2).binary(b"d").list(2).tuple(1).list(1).tuple(2).binary(b"\"").float(0.5).nil().nil().nil();
        e.nil();
        assert_eq!(json(e.as_bytes()), r#"{"a":[1,255],"b":{},"partitioned":true,"d":[{"\"":0.5},[]]}"#);
    }

    #[test]
    fn empty_strings_keep_their_commas() {
        let mut e = Encoder::new();
        e.list(3).binary(b"[").binary(b"{").binary(b"").nil();
        assert_eq!(json(e.as_bytes()), r#"["[","{",""]"#);
    }

    #[test]
    fn large_integers() {
        assert_eq!(json(&[110, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), "18446744073709551616");
        assert_eq!(json(&[110, 8, 0, 255, 255, 255, 255, 255, 255, 255, 255]), "18446744073709551615");
    }

    #[test]
    fn a_million_arrays_deep() {
        let mut bytes = Vec::new();
        for _ in 0..1_000_000 {
            bytes.extend_from_slice(&[108, 0, 0, 0, 1]);
        }
        bytes.resize(bytes.len() + 1_000_001, 106);
        assert_eq!(json(&bytes).len(), 2_000_002);
    }
}
