//! The fields of documents that a query wants.
//!
//! Sources: `mango_fields.erl`, `mango_doc.erl` (`set_field/3`).

use couchfile::json::{Json, Members};

use crate::erlang;
use crate::error::MangoError;
use crate::path::{Found, Path};

/// Which fields of a document are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    /// The complete document.
    All,
    /// These.
    Some(Vec<FieldPath>),
}

/// A field that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Path);

impl Fields {
    /// Reads the list of a query.
    pub fn parse(value: &Json) -> Result<Self, MangoError> {
        let Json::Array(items) = value else {
            let told = erlang::term(value);
            let reason = format!("Fields must be an array of strings, not: {told}");
            return Err(MangoError::new("invalid_fields", reason));
        };
        if items.is_empty() {
            return Ok(Self::All);
        }
        let field = |item: &Json| {
            let Json::String(name) = item else {
                let reason = format!("Invalid JSON for field spec: {}", erlang::term(item));
                return Err(MangoError::new("invalid_field", reason));
            };
            Path::parse(name).map(FieldPath)
        };
        Ok(Self::Some(items.iter().map(field).collect::<Result<_, _>>()?))
    }

    /// The fields as a query names them.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::All => Vec::new(),
            Self::Some(fields) => fields.iter().map(|field| field.0.name.as_str()).collect(),
        }
    }

    /// These fields of a document; `None` if it is the complete document.
    pub fn extract(&self, doc: &Json) -> Option<Json> {
        let Self::Some(fields) = self else { return None };
        let mut out = Json::Object(Members::default());
        for FieldPath(path) in fields {
            if let Found::Value(value) = path.find(doc) {
                put(&mut out, &path.parts, value.clone());
            }
        }
        Some(out)
    }
}

/// Puts a value where it was in the document. Where something that has no members is in the way (`a` and `a.b` of an `a`
/// that is a list were asked for) it stays.
fn put(out: &mut Json, parts: &[String], value: Json) {
    let Some((last, parts)) = parts.split_last() else { return };
    let mut at = out;
    for part in parts {
        let Json::Object(members) = at else { return };
        if members.get(part).is_none() {
            members.insert(part.as_str(), Json::Object(Members::default()));
        }
        let Some(inner) = members.get_mut(part) else { return };
        at = inner;
    }
    if let Json::Object(members) = at {
        members.insert(last.as_str(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_of_documents() {
        let doc = Json::from(json!({"_id": "x", "a": {"b": 1, "c": [7, 8]}, "d.e": 2}));
        let extract = |fields: serde_json::Value| Fields::parse(&fields.into()).unwrap().extract(&doc);
        assert_eq!(extract(json!([])), None);
        assert_eq!(
            extract(json!(["a.b", "_id", "nothing"])),
            Some(json!({"a": {"b": 1}, "_id": "x"}).into())
        );
        assert_eq!(extract(json!(["a.c.1", "d\\.e"])), Some(json!({"a": {"c": {"1": 8}}, "d.e": 2}).into()));
        assert_eq!(Fields::parse(&Json::from("a")).unwrap_err().error, "invalid_fields");
        assert_eq!(Fields::parse(&json!([1]).into()).unwrap_err().error, "invalid_field");
    }
}
