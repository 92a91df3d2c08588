//! The order of JSON values, as views and selectors have it: null, false, true, numbers, strings, arrays, objects; strings
//! by the root collation of ICU.
//!
//! Sources: `couch_ejson_compare.c`, for ids `mango_json.erl` (`cmp_raw/2`, which is Erlang's own order).

use std::cmp::Ordering;
use std::sync::LazyLock;

use couchfile::json::{Json, MembersIter};
use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};

/// Compares two values.
pub(crate) fn compare(a: &Json, b: &Json) -> Ordering {
    compare_with(a, b, compare_strings, rank)
}

/// Compares two values as Erlang does, which is how CouchDB orders document ids.
pub(crate) fn compare_raw(a: &Json, b: &Json) -> Ordering {
    compare_with(a, b, |a, b| a.as_bytes().cmp(b.as_bytes()), raw_rank)
}

/// What is open around the two values that are compared, and what of it is still to come.
enum Open<'j> {
    Arrays(std::slice::Iter<'j, Json>, std::slice::Iter<'j, Json>),
    Objects(MembersIter<'j>, MembersIter<'j>),
}

/// Without recursion, as values may be nested to any depth.
fn compare_with(
    a: &Json,
    b: &Json,
    compare_strings: fn(&str, &str) -> Ordering,
    rank: fn(&Json) -> u8,
) -> Ordering {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut pair = (a, b);
    loop {
        let order = match pair {
            (Json::Array(a), Json::Array(b)) => {
                open.push(Open::Arrays(a.iter(), b.iter()));
                Ordering::Equal
            }
            (Json::Object(a), Json::Object(b)) => {
                open.push(Open::Objects(a.iter(), b.iter()));
                Ordering::Equal
            }
            (Json::String(a), Json::String(b)) => compare_strings(a, b),
            (a, b) if is_number(a) && is_number(b) => compare_numbers(a, b),
            (a, b) => rank(a).cmp(&rank(b)),
        };
        if order.is_ne() {
            return order;
        }
        pair = loop {
            let next = match open.last_mut() {
                None => return Ordering::Equal,
                Some(Open::Arrays(a, b)) => (a.next(), b.next()),
                Some(Open::Objects(a, b)) => match (a.next(), b.next()) {
                    (Some((key, a)), Some((other, b))) => {
                        let order = compare_strings(key, other);
                        if order.is_ne() {
                            return order;
                        }
                        (Some(a), Some(b))
                    }
                    (a, b) => (a.map(|(_, a)| a), b.map(|(_, b)| b)),
                },
            };
            match next {
                (Some(a), Some(b)) => break (a, b),
                (None, None) => {
                    open.pop();
                }
                // What the shorter one has is the same.
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
            }
        };
    }
}

/// Whether two values are the same to Erlang's `=:=`: `1` is not `1.0`, and the order of members matters.
pub(crate) fn identical(a: &Json, b: &Json) -> bool {
    a == b
}

/// Whether it is a number.
pub(crate) fn is_number(value: &Json) -> bool {
    matches!(value, Json::Int(_) | Json::Big(_) | Json::Float(_))
}

fn rank(value: &Json) -> u8 {
    match value {
        Json::Null => 0,
        Json::Bool(false) => 1,
        Json::Bool(true) => 2,
        Json::Int(_) | Json::Big(_) | Json::Float(_) => 3,
        Json::String(_) => 4,
        Json::Array(_) => 5,
        Json::Object(_) => 6,
    }
}

/// Numbers, atoms by name, tuples, lists, binaries.
fn raw_rank(value: &Json) -> u8 {
    match value {
        Json::Int(_) | Json::Big(_) | Json::Float(_) => 0,
        Json::Bool(false) => 1,
        Json::Null => 2,
        Json::Bool(true) => 3,
        Json::Object(_) => 4,
        Json::Array(_) => 5,
        Json::String(_) => 6,
    }
}

fn compare_numbers(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::Int(a), Json::Int(b)) => a.cmp(b),
        (Json::Float(a), Json::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Json::Big(a), Json::Big(b)) => compare_digits(a, b),
        // It is beyond all integers of 64 bits.
        (Json::Big(a), Json::Int(_)) => sign(a),
        (Json::Int(_), Json::Big(b)) => sign(b).reverse(),
        (a, b) => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal),
    }
}

/// Compares integers by their decimal digits, which have no zeros in front.
fn compare_digits(a: &str, b: &str) -> Ordering {
    let order = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => order(a, b),
        (Some(a), Some(b)) => order(b, a),
        (a, _) => {
            if a.is_some() {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

fn sign(digits: &str) -> Ordering {
    if digits.starts_with('-') { Ordering::Less } else { Ordering::Greater }
}

fn float(number: &Json) -> f64 {
    match number {
        Json::Int(number) => *number as f64,
        Json::Big(digits) => digits.parse().unwrap_or(f64::MAX),
        Json::Float(number) => *number,
        _ => f64::NAN,
    }
}

/// Compares two strings by the root collation.
pub(crate) fn compare_strings(a: &str, b: &str) -> Ordering {
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
        ]
        .map(Json::from);
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
        assert_eq!(compare_raw(&Json::from(json!("B")), &Json::from(json!("a"))), Ordering::Less);
        assert_eq!(compare(&Json::from(json!("B")), &Json::from(json!("a"))), Ordering::Greater);
        assert_eq!(compare_raw(&Json::from(json!(null)), &Json::from(json!(""))), Ordering::Less);
        assert_eq!(compare_raw(&Json::from(json!([])), &Json::from(json!(""))), Ordering::Less);
    }

    #[test]
    fn numbers() {
        assert_eq!(compare(&Json::from(json!(1)), &Json::from(json!(1.0))), Ordering::Equal);
        assert!(!identical(&Json::from(json!(1)), &Json::from(json!(1.0))));
        assert_eq!(
            compare(&Json::from(json!(u64::MAX)), &Json::from(json!(u64::MAX - 1))),
            Ordering::Greater
        );
        let ordered = [
            "-18446744073709551617",
            "-18446744073709551616",
            "-1",
            "0.5",
            "9223372036854775807",
            "18446744073709551616",
            "18446744073709551617",
            "1e30",
        ]
        .map(|text| Json::parse(text.as_bytes()).unwrap());
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn nesting_needs_no_stack() {
        let deep = |levels: usize| Json::parse(&[b"[".repeat(levels), b"]".repeat(levels)].concat()).unwrap();
        assert_eq!(compare(&deep(300_000), &deep(300_000)), Ordering::Equal);
        assert_eq!(compare(&deep(300_000), &deep(300_001)), Ordering::Less);
    }
}
