//! Differences between two JSON values, in words.

use serde_json::Value;

/// Longest piece of a value that is quoted, in characters.
const QUOTED: usize = 100;

/// Writes numbers so that those are equal that a program in JavaScript does not tell apart: a whole one has no point there, and
/// the last digit of others may differ.
pub fn with_numbers_of_javascript(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64() {
                *value = Value::String(format!("{float:.12e}"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(with_numbers_of_javascript),
        Value::Object(members) => members.values_mut().for_each(with_numbers_of_javascript),
        _ => {}
    }
}

/// Where and how two values differ, one line each; empty where they are equal. The order of an object's members does
/// not matter.
pub fn compare(a: &Value, b: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // Objects within objects; everything else is told as a whole. Oracles nest a few levels, so a list will do.
    let mut todo = vec![(String::new(), a, b)];
    while let Some((path, a, b)) = todo.pop() {
        if a == b {
            continue;
        }
        let (Value::Object(x), Value::Object(y)) = (a, b) else {
            found.push(format!("{}: {} became {}", place(&path), quoted(a), quoted(b)));
            continue;
        };
        for (key, value) in x {
            let path = format!("{path}/{key}");
            match y.get(key) {
                Some(other) => todo.push((path, value, other)),
                None => found.push(format!("{}: only in the first, {}", place(&path), quoted(value))),
            }
        }
        for (key, value) in y.iter().filter(|(key, _)| !x.contains_key(*key)) {
            let path = format!("{path}/{key}");
            found.push(format!("{}: only in the second, {}", place(&path), quoted(value)));
        }
    }
    found.sort();
    found
}

fn place(path: &str) -> &str {
    if path.is_empty() { "the whole" } else { path }
}

fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_path() {
        let a = json!({"db": {"docs": {"x": [1], "y": [2]}, "revs_limit": 5}, "same": {"a": 1, "b": 2}});
        let b = json!({"db": {"docs": {"x": [3], "z": []}, "revs_limit": 5}, "same": {"b": 2, "a": 1}});
        assert_eq!(
            compare(&a, &b),
            [
                "/db/docs/x: [1] became [3]",
                "/db/docs/y: only in the first, [2]",
                "/db/docs/z: only in the second, []"
            ]
        );
        assert!(compare(&a, &a).is_empty());
        assert_eq!(compare(&json!(1), &json!({})), ["the whole: 1 became {}"]);
    }
}
