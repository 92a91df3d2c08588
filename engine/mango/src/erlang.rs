//! JSON values as Erlang prints them (`~w`): CouchDB quotes what it does not like in that way.

use std::fmt::Write;

use couchfile::json::Json;

/// Longest text that is made of a value, in bytes; the rest is cut off.
const LONGEST: usize = 4096;

/// A JSON value as the Erlang term that it is to CouchDB.
pub(crate) fn term(value: &Json) -> String {
    let mut text = String::new();
    write(value, &mut text);
    if text.len() > LONGEST {
        text.truncate(LONGEST);
        text.push_str("...");
    }
    text
}

/// The value as Erlang prints it with `~p`, which shows texts as such.
pub(crate) fn printed(value: &Json) -> String {
    match value {
        Json::String(text) if !text.is_empty() && text.chars().all(|c| (' '..='~').contains(&c)) => {
            format!("<<{value}>>")
        }
        _ => term(value),
    }
}

fn write(value: &Json, out: &mut String) {
    // Errors quote the start of a value only. What is written is ASCII.
    if out.len() > LONGEST {
        return;
    }
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Int(_) | Json::Big(_) | Json::Float(_) => {
            let _ = write!(out, "{value}");
        }
        Json::String(text) => binary(text, out),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
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
        let value = json!({"a": [1, "é", null, true], "b": {}}).into();
        assert_eq!(term(&value), "{[{<<97>>,[1,<<195,169>>,null,true]},{<<98>>,{[]}}]}");
        assert!(term(&Json::from("x".repeat(100_000))).len() < 2 * LONGEST);
    }
}
