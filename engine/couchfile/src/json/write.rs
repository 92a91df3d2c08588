//! Values to JSON text.

use std::fmt;

use super::Json;
use crate::ejson::{self, NegativeZero};

/// What is open around the value being written, and what of it is still to come.
enum Open<'j> {
    Array(std::slice::Iter<'j, Json>),
    Object(std::slice::Iter<'j, (String, Json)>),
}

/// Writes a value without anything that it could do without.
pub(super) fn write(value: &Json, zero: NegativeZero, out: &mut Vec<u8>) {
    write_with(value, zero, None, out);
}

/// Writes a value with every element and every member on a line of its own.
pub(super) fn write_pretty(value: &Json, out: &mut Vec<u8>) {
    write_with(value, NegativeZero::Hidden, Some(b"  "), out);
}

fn write_with(value: &Json, zero: NegativeZero, indent: Option<&[u8]>, out: &mut Vec<u8>) {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = Some(value);
    let line = |levels: usize, out: &mut Vec<u8>| {
        if let Some(indent) = indent {
            out.push(b'\n');
            for _ in 0..levels {
                out.extend_from_slice(indent);
            }
        }
    };
    loop {
        let mut is_first = false;
        if let Some(value) = next.take() {
            match value {
                Json::Null => out.extend_from_slice(b"null"),
                Json::Bool(true) => out.extend_from_slice(b"true"),
                Json::Bool(false) => out.extend_from_slice(b"false"),
                Json::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
                Json::Big(digits) => out.extend_from_slice(digits.as_bytes()),
                Json::Float(number) => ejson::write_float(*number, zero, out),
                Json::String(text) => ejson::write_text(text, out),
                Json::Array(items) => {
                    out.push(b'[');
                    open.push(Open::Array(items.0.iter()));
                    is_first = true;
                }
                Json::Object(members) => {
                    out.push(b'{');
                    open.push(Open::Object(members.0.iter()));
                    is_first = true;
                }
            }
        }
        let levels = open.len();
        let Some(last) = open.last_mut() else { return };
        let (found, end) = match last {
            Open::Array(items) => (items.next().map(|item| (None, item)), b']'),
            Open::Object(members) => (members.next().map(|(name, value)| (Some(name), value)), b'}'),
        };
        if let Some((name, value)) = found {
            if !is_first {
                out.push(b',');
            }
            line(levels, out);
            if let Some(name) = name {
                ejson::write_text(name, out);
                out.extend_from_slice(if indent.is_some() { b": " } else { b":" });
            }
            next = Some(value);
            continue;
        }
        if !is_first {
            line(levels - 1, out);
        }
        out.push(end);
        open.pop();
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        let text = br#"{"a":[1,[],{}],"b":{"c":"d"}}"#;
        let value = Json::parse(text).unwrap();
        let other: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert_eq!(
            String::from_utf8(value.to_pretty_vec()).unwrap(),
            serde_json::to_string_pretty(&other).unwrap()
        );
        assert_eq!(value.to_string(), other.to_string());
    }
}
