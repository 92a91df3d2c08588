//! CouchDB's estimate of a body's length as JSON, from which it makes the "external" size.

use crate::error::TermError;
use crate::term::{Decoder, ListHead, Token};

/// Estimated length in bytes of a term as JSON, by CouchDB's rules (`couch_ejson_size`).
pub fn external_size(decoder: &mut Decoder<'_>) -> Result<u64, TermError> {
    let mut total: u64 = 0;
    // Every rule is a sum over the parts, so the nesting does not matter: a pair adds 2, an element 1.
    let mut left: usize = 1;
    while left > 0 {
        left -= 1;
        let size = match decoder.token()? {
            Token::Int(value) => digits(value),
            Token::Big { negative, magnitude } => {
                // Digits of a number of n bits: n * log10(2), rounded down, plus one.
                (magnitude.len() as u64 * 8) * 30103 / 100_000 + 1 + u64::from(negative)
            }
            Token::Float(value) => float_size(value),
            Token::Atom(b"false") => 5,
            Token::Atom(b"true" | b"null") => 4,
            Token::Atom(text) | Token::Binary(text) => 2 + text.len() as u64,
            Token::Nil => 2,
            Token::ByteList(items) => 1 + items.iter().map(|&i| digits(i64::from(i)) + 1).sum::<u64>(),
            Token::List(n) => {
                left += n + 1;
                // The tail, an empty list, is counted as 2 when it comes.
                (1 + n as u64).wrapping_sub(2)
            }
            Token::Tuple(1) => match decoder.list()? {
                ListHead::Elements(0) => 2,
                ListHead::Elements(n) => {
                    left += n + 1;
                    1u64.wrapping_sub(2)
                }
                ListHead::Bytes(_) => return Err(decoder.error("object without pairs")),
            },
            Token::Tuple(2) => {
                left += 2;
                2
            }
            Token::Tuple(_) | Token::Map(_) => return Err(decoder.error("no JSON value")),
        };
        total = total.wrapping_add(size);
    }
    Ok(total)
}

fn digits(value: i64) -> u64 {
    let minus = u64::from(value < 0);
    minus + u64::from(value.unsigned_abs().checked_ilog10().unwrap_or(0)) + 1
}

fn float_size(value: f64) -> u64 {
    let minus = u64::from(value < 0.0);
    let value = value.abs();
    #[allow(clippy::float_cmp)]
    let size = if value == 0.0 || value == 1.0 {
        3
    } else if value < 1.0 {
        match value {
            v if v > 1e-2 => 3,
            v if v > 1e-10 => 4,
            v if v > 1e-100 => 5,
            v if v > 1e-300 => 6,
            _ => 3,
        }
    } else if value < 1e10 {
        3
    } else if value < 1e100 {
        4
    } else {
        5
    };
    minus + size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::encode_json;

    #[test]
    fn sizes_by_hand() {
        for (json, size) in [
            ("{}", 2),
            ("[]", 2),
            (r#"{"a":1}"#, 1 + 3 + 1 + 2),
            (r#"{"a":[1,22,-3],"b":{"c":null}}"#, 1 + (3 + (1 + 2 + 3 + 3) + 2) + (3 + (1 + 3 + 4 + 2) + 2)),
            (r#"[true,false,0.5,"x"]"#, 1 + 5 + 6 + 4 + 4),
            ("[300,1]", 1 + 4 + 2),
        ] {
            let term = encode_json(&serde_json::from_str(json).unwrap()).unwrap();
            assert_eq!(external_size(&mut Decoder::new(&term)).unwrap(), size, "{json}");
        }
    }
}
