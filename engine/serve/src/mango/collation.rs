//! The order of JSON values, as views and selectors have it: null, false, true, numbers, strings, arrays, objects; strings
//! by the root collation of ICU.
//!
//! Sources: `couch_ejson_compare.c`, for ids `mango_json.erl` (`cmp_raw/2`, which is Erlang's own order).

use std::cmp::Ordering;
use std::sync::LazyLock;

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use serde_json::{Map, Number, Value};

/// Compares two values.
pub(crate) fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => compare_strings(a, b),
        (Value::Array(a), Value::Array(b)) => compare_lists(a, b, compare),
        (Value::Object(a), Value::Object(b)) => compare_members(a, b, compare_strings, compare),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Compares two values as Erlang does, which is how CouchDB orders document ids.
pub(super) fn compare_raw(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Array(a), Value::Array(b)) => compare_lists(a, b, compare_raw),
        (Value::Object(a), Value::Object(b)) => {
            compare_members(a, b, |a, b| a.as_bytes().cmp(b.as_bytes()), compare_raw)
        }
        _ => raw_rank(a).cmp(&raw_rank(b)),
    }
}

/// Whether two values are the same to Erlang's `=:=`: `1` is not `1.0`, and the order of members matters.
pub(super) fn identical(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.is_f64() == b.is_f64() && compare_numbers(a, b) == Ordering::Equal
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| identical(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && identical(a, b))
        }
        _ => a == b,
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    }
}

/// Numbers, atoms by name, tuples, lists, binaries.
fn raw_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::Bool(false) => 1,
        Value::Null => 2,
        Value::Bool(true) => 3,
        Value::Object(_) => 4,
        Value::Array(_) => 5,
        Value::String(_) => 6,
    }
}

fn compare_lists(a: &[Value], b: &[Value], compare: fn(&Value, &Value) -> Ordering) -> Ordering {
    a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
}

fn compare_members(
    a: &Map<String, Value>,
    b: &Map<String, Value>,
    compare_keys: fn(&str, &str) -> Ordering,
    compare: fn(&Value, &Value) -> Ordering,
) -> Ordering {
    let pairs = a.iter().zip(b);
    pairs
        .map(|((k, a), (l, b))| compare_keys(k, l).then_with(|| compare(a, b)))
        .find(|order| order.is_ne())
        .unwrap_or(a.len().cmp(&b.len()))
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i128(), b.as_i128()) {
        return a.cmp(&b);
    }
    let (a, b) = (a.as_f64().unwrap_or(f64::MAX), b.as_f64().unwrap_or(f64::MAX));
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// Compares two strings by the root collation.
pub(super) fn compare_strings(a: &str, b: &str) -> Ordering {
    if a == b { Ordering::Equal } else { collator().compare(a, b) }
}

fn collator() -> &'static CollatorBorrowed<'static> {
    static COLLATOR: LazyLock<CollatorBorrowed<'static>> = LazyLock::new(|| {
        let made = Collator::try_new(CollatorPreferences::default(), CollatorOptions::default());
        made.unwrap_or_else(|e| unreachable!("the root collation is compiled in: {e}"))
    });
    &COLLATOR
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_the_manual() {
        // From the table in CouchDB's manual, "View Collation".
        let ordered = [
            json!(null),
            json!(false),
            json!(true),
            json!(1),
            json!(2),
            json!(3.0),
            json!(4),
            json!("a"),
            json!("A"),
            json!("aa"),
            json!("b"),
            json!("B"),
            json!("ba"),
            json!("bb"),
            json!(["a"]),
            json!(["b"]),
            json!(["b", "c"]),
            json!(["b", "c", "a"]),
            json!(["b", "d"]),
            json!(["b", "d", "e"]),
            json!({"a": 1}),
            json!({"a": 2}),
            json!({"b": 1}),
            json!({"b": 2}),
            json!({"b": 2, "a": 1}),
            json!({"b": 2, "c": 2}),
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn characters_that_the_manual_names() {
        let order = "`^_-,;:!?.'\"()[]{}@*/\\&#%+<=>|~$0123456789aAbBcCzZ";
        let chars: Vec<String> = order.chars().map(|c| c.to_string()).collect();
        // ICU has moved some signs since that page was written; digits stand before letters, small before capital ones.
        for pair in chars.windows(2).skip(33) {
            assert_eq!(compare_strings(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn ids_are_ordered_by_bytes() {
        assert_eq!(compare_raw(&json!("B"), &json!("a")), Ordering::Less);
        assert_eq!(compare(&json!("B"), &json!("a")), Ordering::Greater);
        assert_eq!(compare_raw(&json!(null), &json!("")), Ordering::Less);
        assert_eq!(compare_raw(&json!([]), &json!("")), Ordering::Less);
    }

    #[test]
    fn numbers() {
        assert_eq!(compare(&json!(1), &json!(1.0)), Ordering::Equal);
        assert!(!identical(&json!(1), &json!(1.0)));
        assert_eq!(compare(&json!(u64::MAX), &json!(u64::MAX - 1)), Ordering::Greater);
    }
}
