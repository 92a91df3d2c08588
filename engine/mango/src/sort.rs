//! The order in which a query wants documents.
//!
//! Source: `mango_sort.erl`.

use std::cmp::Ordering;

use couchfile::json::Json;
use serde_json::{Value, json};

use crate::collation::compare;
use crate::erlang;
use crate::error::MangoError;
use crate::path::{Found, Path};

/// An order: fields, all ascending or all descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    fields: Vec<Path>,
    descending: bool,
}

impl Sort {
    /// Reads the list of a query.
    pub fn parse(value: &Json) -> Result<Self, MangoError> {
        let Json::Array(items) = value else {
            let reason = format!("Sort must be an array of sort specs, not: {}", erlang::printed(value));
            return Err(MangoError::new("invalid_sort_json", reason));
        };
        let mut fields = Vec::new();
        let mut directions = Vec::new();
        for item in items.iter() {
            let (name, descending) = read(item)?;
            fields.push(Path::parse(name)?);
            directions.push(descending);
        }
        if directions.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(MangoError::new(
                "unsupported_mixed_sort",
                "Sorts currently only support a single direction for all fields.",
            ));
        }
        Ok(Self { fields, descending: directions.first() == Some(&true) })
    }

    /// Whether documents come in the order of their ids anyway.
    pub fn is_by_id(&self) -> bool {
        match self.fields.as_slice() {
            [] => true,
            [field] => field.name == "_id",
            _ => false,
        }
    }

    /// Whether the order is the other way round.
    pub fn is_descending(&self) -> bool {
        self.descending
    }

    /// What a document is ordered by; `None` if it lacks a field: an index would not hold it.
    pub fn key(&self, doc: &Json) -> Option<Vec<Json>> {
        let value = |path: &Path| match path.find(doc) {
            Found::Value(value) => Some(value.clone()),
            Found::Missing | Found::NoPath => None,
        };
        self.fields.iter().map(value).collect()
    }

    /// Compares two documents by their keys and ids.
    pub fn compare(&self, a: (&[Json], &str), b: (&[Json], &str)) -> Ordering {
        let keys = || a.0.iter().zip(b.0).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
        let order = keys().unwrap_or_else(|| a.1.as_bytes().cmp(b.1.as_bytes()));
        if self.descending { order.reverse() } else { order }
    }

    /// The order as `_explain` shows it.
    pub fn to_json(&self) -> Value {
        let direction = if self.descending { "desc" } else { "asc" };
        let fields = self.fields.iter().map(|field| (field.name.clone(), json!(direction)));
        Value::Object(fields.collect())
    }
}

fn read(item: &Json) -> Result<(&str, bool), MangoError> {
    let bad = || {
        let reason = format!("Invalid sort field: {}", erlang::printed(item));
        MangoError::new("invalid_sort_field", reason)
    };
    match item {
        Json::String(name) if !name.is_empty() => Ok((name, false)),
        Json::Object(members) if members.len() == 1 => {
            let (name, direction) = members.iter().next().ok_or_else(bad)?;
            match direction.as_str() {
                Some("asc") => Ok((name, false)),
                Some("desc") => Ok((name, true)),
                _ => Err(bad()),
            }
        }
        _ => Err(bad()),
    }
}
