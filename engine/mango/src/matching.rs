//! Whether a document has what a selector asks for.
//!
//! Source: `mango_selector.erl` (`match/3`).

use std::cmp::Ordering;

use couchfile::json::Json;

use crate::collation::{compare, compare_raw, identical};
use crate::path::Found;
use crate::selector::{Node, Selector, Test};

/// How values are compared.
type Comparison = fn(&Json, &Json) -> Ordering;

impl Selector {
    /// Whether a document matches.
    pub fn matches(&self, doc: &Json) -> bool {
        matches(&self.0, doc, compare)
    }
}

fn matches(node: &Node, value: &Json, order: Comparison) -> bool {
    match node {
        Node::Anything | Node::Text => true,
        Node::And(nodes) => nodes.iter().all(|node| matches(node, value, order)),
        Node::Or(nodes) => nodes.is_empty() || nodes.iter().any(|node| matches(node, value, order)),
        // Left only inside of tests of items, where CouchDB knows it not and takes the item for one that does not match.
        Node::Nor(_) => false,
        Node::Not(node) => !matches(node, value, order),
        Node::AnyItem(node) => {
            value.as_array().is_some_and(|items| items.iter().any(|item| matches(node, item, order)))
        }
        Node::AllItems(node) => value
            .as_array()
            .is_some_and(|items| !items.is_empty() && items.iter().all(|item| matches(node, item, order))),
        Node::AnyKey(node) => value
            .as_object()
            .is_some_and(|members| members.keys().any(|key| matches(node, &Json::from(key), order))),
        Node::At(path, node) => match path.find(value) {
            Found::Value(found) => {
                let order = if path.name == "_id" { compare_raw } else { order };
                matches(node, found, order)
            }
            Found::Missing => matches!(**node, Node::Test(Test::Exists(false))),
            Found::NoPath => false,
        },
        // Taken apart by normalising.
        Node::Field(_, node) => matches(node, value, order),
        Node::Test(test) => passes(test, value, order),
    }
}

fn passes(test: &Test, value: &Json, order: Comparison) -> bool {
    let among = |wanted: &[Json], value: &Json| wanted.iter().any(|w| order(value, w).is_eq());
    match test {
        Test::Less(wanted) => order(value, wanted).is_lt(),
        Test::LessOrEqual(wanted) => order(value, wanted).is_le(),
        Test::Equal(wanted) => order(value, wanted).is_eq(),
        Test::NotEqual(wanted) => order(value, wanted).is_ne(),
        Test::GreaterOrEqual(wanted) => order(value, wanted).is_ge(),
        Test::Greater(wanted) => order(value, wanted).is_gt(),
        Test::In(wanted) => match value {
            Json::Array(items) => items.iter().any(|item| among(wanted, item)),
            _ => among(wanted, value),
        },
        Test::NotIn(wanted) => match value {
            Json::Array(items) => !items.iter().any(|item| among(wanted, item)),
            _ => !among(wanted, value),
        },
        Test::All(wanted) => has_all(wanted, value),
        // What is not there has been sorted out before.
        Test::Exists(exists) => *exists,
        Test::Type(name) => name == type_name(value),
        Test::Modulo(divisor, remainder) => {
            value.as_i64().is_some_and(|number| number.wrapping_rem(*divisor) == *remainder)
        }
        Test::Size(size) => value.as_array().is_some_and(|items| items.len() as u64 == *size),
        Test::Regex(regex) => value.as_str().is_some_and(|text| regex.0.is_match(text).unwrap_or(false)),
        Test::BeginsWith(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
    }
}

/// Whether an array has all of these, or is what the only one of these is.
fn has_all(wanted: &[Json], value: &Json) -> bool {
    let Json::Array(items) = value else { return false };
    if wanted.is_empty() {
        return false;
    }
    let is_it = matches!(wanted, [Json::Array(only)] if only == items);
    is_it || wanted.iter().all(|wanted| items.iter().any(|item| identical(item, wanted)))
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Int(_) | Json::Big(_) | Json::Float(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(selector: &Value, doc: &Value) -> bool {
        Selector::parse(&selector.clone().into()).unwrap().matches(&doc.clone().into())
    }

    #[test]
    fn operators() {
        let doc = json!({
            "_id": "Bob", "n": 5, "f": 2.5, "s": "Straße", "t": true, "z": null,
            "a": [1, 2, "x"], "e": [], "o": {"k": {"l": 1}, "m": 2}, "people": [{"age": 3}, {"age": 40}],
        });
        let yes = [
            json!({}),
            json!({"n": 5}),
            json!({"n": 5.0}),
            json!({"n": {"$gt": 4, "$lt": 6}}),
            json!({"n": {"$gt": "a"}, "s": {"$gt": 100}})
                .get("s")
                .map(|_| json!({"s": {"$gt": 100}}))
                .unwrap(),
            json!({"z": null}),
            json!({"z": {"$exists": true}}),
            json!({"missing": {"$exists": false}}),
            json!({"$not": {"missing": {"$exists": true}}}),
            json!({"$or": [{"n": 1}, {"t": true}]}),
            json!({"$or": []}),
            json!({"$nor": [{"n": 1}, {"t": false}]}),
            json!({"n": {"$in": [1, 5]}}),
            json!({"a": {"$in": ["x", "y"]}}),
            json!({"n": {"$nin": [1, 2]}}),
            json!({"n": {"$nin": []}}),
            json!({"a": {"$all": [1, "x"]}}),
            json!({"a": {"$all": [[1, 2, "x"]]}}),
            json!({"a": {"$size": 3}}),
            json!({"n": {"$mod": [3, 2]}}),
            json!({"s": {"$regex": "^Str.+e$"}}),
            json!({"s": {"$beginsWith": "Str"}}),
            json!({"o": {"k": {"l": 1}}}),
            json!({"o.k.l": 1}),
            json!({"a.2": "x"}),
            json!({"people": {"$elemMatch": {"age": {"$gt": 30}}}}),
            json!({"people": {"$allMatch": {"age": {"$gt": 2}}}}),
            json!({"a": {"$elemMatch": {"$gt": 1, "$lt": 3}}}),
            json!({"o": {"$keyMapMatch": {"$eq": "m"}}}),
            json!({"f": {"$type": "number"}}),
            json!({"_id": {"$lt": "a"}}),
            json!({"s": {"$gt": "a"}}),
            json!({"n": {"$not": {"$gt": 6}}}),
        ];
        for selector in &yes {
            assert!(check(selector, &doc), "{selector}");
        }
        let no = [
            json!({"missing": {"$ne": 1}}),
            json!({"$not": {"missing": 1}}),
            json!({"n": {"$in": []}}),
            json!({"a": {"$all": []}}),
            json!({"e": {"$allMatch": {"$gt": 0}}}),
            json!({"f": {"$mod": [2, 0]}}),
            json!({"o": {}}),
            json!({"a": {"$all": [1.0]}}),
            json!({"people": {"$elemMatch": {"$nor": [{"age": 7}]}}}),
            json!({"n": {"$regex": "5"}}),
            json!({"a.9": {"$exists": false}}),
        ];
        for selector in &no {
            assert!(!check(selector, &doc), "{selector}");
        }
    }

    #[test]
    fn mistakes_in_the_words_of_couchdb() {
        let told = |selector: Value| Selector::parse(&selector.into()).unwrap_err();
        for (selector, error, reason) in [
            (json!([]), "invalid_selector_json", "Selector must be a JSON object, not: []"),
            (json!({"$and": 1}), "bad_arg", "Bad argument for operator $and: 1"),
            (json!({"a": {"$regex": "("}}), "bad_arg", "Bad argument for operator $regex: <<40>>"),
            (json!({"a": {"$foo": 1}}), "invalid_operator", "Invalid operator: $foo"),
            (json!({"a": {"$where": 1}}), "not_supported", "Unsupported operator: $where"),
            (json!({"a..b": 1}), "invalid_field_name", "Invalid field name: a..b"),
            (json!({"$gt": 1}), "invalid_selector", "One or more conditions is missing a field name."),
        ] {
            let found = told(selector);
            assert_eq!((found.error, found.reason.as_str()), (error, reason));
        }
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!({"a": deep});
        }
        assert_eq!(told(deep).error, "invalid_selector");
    }

    #[test]
    fn an_expression_that_explodes_matches_nothing() {
        let doc = json!({"s": "a".repeat(5000)});
        assert!(!check(&json!({"s": {"$regex": "(?=(a+)+$)(a+)+\\1b"}}), &doc));
    }
}
