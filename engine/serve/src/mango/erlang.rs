//! JSON values as Erlang prints them (`~w`): CouchDB quotes what it does not like in that way.

use std::fmt::Write;

use serde_json::Value;

/// Longest text that is made of a value, in bytes; the rest is cut off.
const LONGEST: usize = 4096;

/// A JSON value as the Erlang term that it is to CouchDB.
pub(super) fn term(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    if text.len() > LONGEST {
        text.truncate(LONGEST);
        text.push_str("...");
    }
    text
}

/// The same where texts are shown as such (`~p`).
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && text.chars().all(|c| (' '..='~').contains(&c)) => {
            format!("<<{value}>>")
        }
        _ => term(value),
    }
}

fn write(value: &Value, out: &mut String) {
    // Errors quote the start of a value only. What is written is ASCII.
    if out.len() > LONGEST {
        return;
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => binary(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push_str("{[");
            for (i, (key, value)) in members.iter().enumerate() {
                out.push_str(if i > 0 { ",{" } else { "{" });
                binary(key, out);
                out.push(',');
                write(value, out);
                out.push('}');
            }
            out.push_str("]}");
        }
    }
}

fn binary(text: &str, out: &mut String) {
    out.push_str("<<");
    for (i, byte) in text.bytes().take(LONGEST).enumerate() {
        let _ = write!(out, "{}{byte}", if i > 0 { "," } else { "" });
    }
    out.push_str(">>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms() {
        let value = json!({"a": [1, "é", null, true], "b": {}});
        assert_eq!(term(&value), "{[{<<97>>,[1,<<195,169>>,null,true]},{<<98>>,{[]}}]}");
        assert!(term(&json!("x".repeat(100_000))).len() < 2 * LONGEST);
    }
}
