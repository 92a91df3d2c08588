//! JSON values of any depth and size to terms.

use crate::error::{CouchFileError, Result};
use crate::json::Json;
use crate::term::Encoder;

/// The longest integer that is encoded, in decimal digits: as many as are written out (`to_json`).
const MOST_DIGITS: usize = 600_000;

/// Encodes members as the object that CouchDB would store, in their order, as a term without version byte.
///
/// Fails for integers that are longer than any that are read. Nothing recurses, so no nesting exhausts the stack.
pub fn encode_members<'j>(members: impl ExactSizeIterator<Item = (&'j str, &'j Json)>) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    encoder.tuple(1).list(members.len());
    let is_empty = members.len() == 0;
    for (name, value) in members {
        encoder.tuple(2).binary(name.as_bytes());
        write(value, &mut encoder)?;
    }
    if !is_empty {
        encoder.nil();
    }
    Ok(encoder.finish())
}

/// What is open around the value being written, and what of it is still to come.
enum Open<'j> {
    Array(std::slice::Iter<'j, Json>),
    Object(crate::json::MembersIter<'j>),
}

fn write(value: &Json, encoder: &mut Encoder) -> Result<()> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = Some(value);
    loop {
        match next.take() {
            None => {}
            Some(Json::Null) => _ = encoder.atom(b"null"),
            Some(Json::Bool(value)) => _ = encoder.bool(*value),
            Some(Json::Int(value)) => _ = encoder.int(*value),
            Some(Json::Big(digits)) => big(digits, encoder)?,
            Some(Json::Float(value)) => _ = encoder.float(*value),
            Some(Json::String(text)) => _ = encoder.binary(text.as_bytes()),
            Some(Json::Array(items)) => {
                // As Erlang writes them.
                let bytes: Option<Vec<u8>> =
                    items.iter().map(|item| item.as_i64().and_then(|n| u8::try_from(n).ok())).collect();
                if let Some(bytes) = bytes {
                    encoder.byte_list(&bytes);
                } else {
                    encoder.list(items.len());
                    open.push(Open::Array(items.iter()));
                }
            }
            Some(Json::Object(members)) => {
                encoder.tuple(1).list(members.len());
                if !members.is_empty() {
                    open.push(Open::Object(members.iter()));
                }
            }
        }
        let Some(last) = open.last_mut() else { return Ok(()) };
        match last {
            Open::Array(items) => next = items.next(),
            Open::Object(members) => {
                if let Some((name, value)) = members.next() {
                    encoder.tuple(2).binary(name.as_bytes());
                    next = Some(value);
                }
            }
        }
        if next.is_none() {
            encoder.nil();
            open.pop();
        }
    }
}

/// An integer beyond 64 bits.
fn big(digits: &str, encoder: &mut Encoder) -> Result<()> {
    let (is_negative, digits) = digits.strip_prefix('-').map_or((false, digits), |digits| (true, digits));
    let invalid = || CouchFileError::Invalid(format!("an integer of {} digits", digits.len()));
    if digits.len() > MOST_DIGITS {
        return Err(invalid());
    }
    // Least significant first, to the base of 2^32; digits are taken in nines.
    let mut words: Vec<u32> = Vec::new();
    let first = digits.len() % 9;
    let (head, tail) = digits.as_bytes().split_at(first);
    let chunks = std::iter::once(head).filter(|head| !head.is_empty()).chain(tail.chunks(9));
    for chunk in chunks {
        let text = std::str::from_utf8(chunk).map_err(|_| invalid())?;
        let mut carry: u64 = text.parse().map_err(|_| invalid())?;
        let factor = 10u64.pow(chunk.len() as u32);
        for word in &mut words {
            let value = u64::from(*word) * factor + carry;
            *word = value as u32;
            carry = value >> 32;
        }
        if carry > 0 {
            words.push(carry as u32);
        }
    }
    let mut magnitude: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    while magnitude.last() == Some(&0) {
        magnitude.pop();
    }
    encoder.big_integer(is_negative, &magnitude);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::{NegativeZero, encode_json, write_json_with};
    use crate::term::Decoder;

    fn term(text: &str) -> Vec<u8> {
        let value = Json::parse(text.as_bytes()).unwrap();
        encode_members(value.as_object().unwrap().iter()).unwrap()
    }

    fn back(term: &[u8]) -> String {
        let mut out = Vec::new();
        let mut decoder = Decoder::new(term);
        write_json_with(&mut decoder, NegativeZero::Kept, &mut out).unwrap();
        decoder.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_come_back() {
        for text in [
            "{}",
            r#"{"b":1,"a":[],"c":{},"d":[1,2,255],"e":[1,256,-1],"f":[0.5,"x",null,true,false,{"g":[[]]}]}"#,
            r#"{"a":-0.0,"b":9223372036854775807,"c":-9223372036854775808}"#,
            r#"{"a":9223372036854775808,"b":18446744073709551615,"c":-18446744073709551616,"d":[1]}"#,
            r#"{"a":123456789012345678901234567890123456789,"b":1000000000000000000000000000}"#,
        ] {
            assert_eq!(back(&term(text)), text);
        }
        let digits = "9".repeat(5000);
        assert_eq!(back(&term(&format!("{{\"a\":-{digits}}}"))), format!("{{\"a\":-{digits}}}"));
    }

    #[test]
    fn the_same_bytes_as_from_other_values() {
        let text = r#"{"a":{"b":[1,2,3],"c":[1,"x"],"d":18446744073709551615},"e":"é","f":[]}"#;
        let other = encode_json(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(term(text), other);
    }

    #[test]
    fn a_hundred_thousand_levels_need_no_stack() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(back(&term(&text)), text);
    }

    proptest::proptest! {
        #[test]
        fn integers_come_back(value in proptest::num::u128::ANY, negative in proptest::bool::ANY) {
            let text = format!("{{\"a\":{}{value}}}", if negative && value > 0 { "-" } else { "" });
            proptest::prop_assert_eq!(back(&term(&text)), text);
        }
    }
}
