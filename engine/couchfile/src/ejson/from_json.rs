//! JSON values to terms.

use serde_json::Value;

use crate::error::{CouchFileError, Result};
use crate::term::Encoder;

/// Encodes a JSON value as the term that CouchDB would store, without version byte.
///
/// Fails for integers beyond 64 bits. `Value` comes from a parser that bounds the nesting, so recursion is safe here.
pub fn encode_json(value: &Value) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    write(value, &mut encoder)?;
    Ok(encoder.finish())
}

fn write(value: &Value, encoder: &mut Encoder) -> Result<()> {
    match value {
        Value::Null => {
            encoder.atom(b"null");
        }
        Value::Bool(value) => {
            encoder.bool(*value);
        }
        Value::Number(number) => {
            if let Some(value) = number.as_i64() {
                encoder.int(value);
            } else if let Some(value) = number.as_u64() {
                encoder.uint(value);
            } else if let Some(value) = number.as_f64() {
                encoder.float(value);
            } else {
                return Err(CouchFileError::Invalid(format!("the number {number}")));
            }
        }
        Value::String(text) => {
            encoder.binary(text.as_bytes());
        }
        Value::Array(items) => {
            let bytes: Option<Vec<u8>> =
                items.iter().map(|item| item.as_u64().and_then(|n| u8::try_from(n).ok())).collect();
            if let Some(bytes) = bytes {
                encoder.byte_list(&bytes);
            } else {
                encoder.list(items.len());
                for item in items {
                    write(item, encoder)?;
                }
                encoder.nil();
            }
        }
        Value::Object(members) => {
            encoder.tuple(1).list(members.len());
            for (key, value) in members {
                encoder.tuple(2).binary(key.as_bytes());
                write(value, encoder)?;
            }
            if !members.is_empty() {
                encoder.nil();
            }
        }
    }
    Ok(())
}
