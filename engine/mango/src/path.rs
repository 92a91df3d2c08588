//! Names of fields: `a.b.0`, with `\.` for a dot that is part of a name.
//!
//! Sources: `mango_util.erl` (`parse_field/1`), `mango_doc.erl` (`get_field/2`).

use couchfile::json::Json;

use crate::error::MangoError;

/// A field's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The name as it was given.
    pub(crate) name: String,
    /// Its parts, outermost first.
    pub(crate) parts: Vec<String>,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Found<'v> {
    /// A value.
    Value(&'v Json),
    /// An object without such a member.
    Missing,
    /// Something that has no members at all.
    NoPath,
}

impl Path {
    /// Takes a name apart.
    pub(crate) fn parse(name: &str) -> Result<Self, MangoError> {
        let mut parts = vec![String::new()];
        let mut escaped = false;
        for c in name.chars() {
            match c {
                '.' if !escaped => parts.push(String::new()),
                '\\' => {}
                _ => parts.last_mut().unwrap_or(&mut String::new()).push(c),
            }
            escaped = c == '\\';
        }
        if parts.iter().any(String::is_empty) {
            return Err(MangoError::field_name(name));
        }
        Ok(Self { name: name.to_owned(), parts })
    }

    /// What a value has there.
    pub(crate) fn find<'v>(&self, value: &'v Json) -> Found<'v> {
        let mut at = value;
        for part in &self.parts {
            at = match at {
                Json::Object(members) => match members.get(part) {
                    Some(member) => member,
                    None => return Found::Missing,
                },
                Json::Array(items) => match part.parse::<usize>().ok().and_then(|i| items.get(i)) {
                    Some(item) => item,
                    None => return Found::NoPath,
                },
                _ => return Found::NoPath,
            };
        }
        Found::Value(at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names() {
        let parts = |name: &str| Path::parse(name).unwrap().parts;
        assert_eq!(parts("ab"), ["ab"]);
        assert_eq!(parts("a.b.c"), ["a", "b", "c"]);
        assert_eq!(parts(r"a\.b"), ["a.b"]);
        assert_eq!(parts(r"a.b\.c"), ["a", "b.c"]);
        for bad in ["", "a..b", ".a", "a."] {
            assert_eq!(Path::parse(bad).unwrap_err().error, "invalid_field_name", "{bad}");
        }
    }

    #[test]
    fn values() {
        let doc = Json::from(json!({"a": {"b": [1, {"c": 2}]}}));
        let find = |name: &str| Path::parse(name).unwrap().find(&doc);
        assert_eq!(find("a.b.1.c"), Found::Value(&Json::Int(2)));
        assert_eq!(find("a.x"), Found::Missing);
        assert_eq!(find("a.b.2"), Found::NoPath);
        assert_eq!(find("a.b.x"), Found::NoPath);
        assert_eq!(find("a.b.0.x"), Found::NoPath);
    }
}
