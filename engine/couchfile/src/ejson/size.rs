//! CouchDB's estimate of a body's length as JSON, from which it makes the "external" size.
//!
//! Source: `couch_ejson_size.erl`.

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
            Token::Big { negative, magnitude } => u64::from(negative) + digits_of_big(magnitude),
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
    let value = value.unsigned_abs();
    // CouchDB counts small numbers exactly and takes the logarithm of others, which rounds 999999999999999999 up.
    let log = if value < 10_000 {
        u64::from(value.checked_ilog10().unwrap_or(0))
    } else {
        (value as f64).log10() as u64
    };
    minus + log + 1
}

/// Digits of an integer beyond 64 bits, given by its magnitude, least significant byte first.
fn digits_of_big(magnitude: &[u8]) -> u64 {
    let (low, high) = magnitude.split_at(magnitude.len().saturating_sub(8));
    let high = high.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte)) as f64;
    let bits = low.len() as f64 * 8.0;
    let value = high * bits.exp2();
    let log = if value.is_finite() { value.log10() } else { high.log10() + bits * std::f64::consts::LOG10_2 };
    log as u64 + 1
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
            ("[9999,10000,-2147483649]", 1 + 5 + 6 + 12),
        ] {
            let term = encode_json(&serde_json::from_str(json).unwrap()).unwrap();
            assert_eq!(external_size(&mut Decoder::new(&term)).unwrap(), size, "{json}");
        }
    }

    #[test]
    fn integers_beyond_64_bits() {
        let size = |magnitude: &[u8], negative: u8| {
            let mut term = vec![110, magnitude.len() as u8, negative];
            term.extend_from_slice(magnitude);
            external_size(&mut Decoder::new(&term)).unwrap()
        };
        let big = 123_456_789_012_345_678_901_234_567_890u128.to_le_bytes();
        assert_eq!(size(&big, 0), 30);
        assert_eq!(size(&big, 1), 31);
        assert_eq!(size(&(1u128 << 64).to_le_bytes(), 0), 20);
        assert_eq!(size(&[0xff; 255], 0), 615);
    }
}
