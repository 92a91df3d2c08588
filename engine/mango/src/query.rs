//! A query as `_find` takes it.
//!
//! Source: `mango_opts.erl` (`validate_find/1`).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use couchfile::json::{Items, Json, Members as Object};
use serde_json::{Value, json};

use crate::erlang;
use crate::error::MangoError;
use crate::fields::Fields;
use crate::selector::Selector;
use crate::sort::Sort;

/// Documents that come where a query does not say how many.
const DEFAULT_LIMIT: u64 = 25;

/// A query.
#[derive(Debug, Clone)]
pub struct Query {
    /// What documents have to have.
    pub selector: Selector,
    /// The selector as it was given.
    pub selector_json: Json,
    /// Where to go on.
    pub bookmark: Option<Bookmark>,
    /// How many documents at most.
    pub limit: u64,
    /// How many to pass over.
    pub skip: u64,
    /// In which order.
    pub sort: Sort,
    /// What of them.
    pub fields: Fields,
    /// In which partition.
    pub partition: Option<String>,
    /// Whether to list conflicts.
    pub conflicts: bool,
    /// Whether to report what the query took.
    pub execution_stats: bool,
    /// The index that the query names; there is none.
    use_index: Value,
    allow_fallback: bool,
}

/// Where a query ended: the last document that it gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Bookmark {
    /// Its id.
    pub id: String,
    /// What it was ordered by.
    pub key: Vec<Json>,
}

impl Bookmark {
    /// The bookmark as text.
    pub fn to_text(&self) -> String {
        let key = Json::Array(self.key.iter().cloned().collect::<Items>());
        let members: Object = [("id", Json::from(self.id.as_str())), ("key", key)].into_iter().collect();
        BASE64_URL_SAFE_NO_PAD.encode(Json::Object(members).to_exact_vec())
    }

    fn parse(value: &Json) -> Result<Option<Self>, MangoError> {
        let bad = || MangoError::bookmark(value);
        match value {
            Json::Null => Ok(None),
            Json::String(text) if text.is_empty() => Ok(None),
            Json::String(text) => {
                let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
                let json = Json::parse(&json).map_err(|_| bad())?;
                Self::of(&json).map(Some).ok_or_else(bad)
            }
            _ => Err(bad()),
        }
    }

    fn of(json: &Json) -> Option<Self> {
        let members = json.as_object().filter(|members| members.len() == 2)?;
        let id = members.get("id")?.as_str()?.to_owned();
        Some(Self { id, key: members.get("key")?.as_array()?.to_vec() })
    }
}

/// The members of a query that have not been read yet.
struct Members(Object);

impl Members {
    fn take(&mut self, key: &str) -> Option<Json> {
        self.0.remove(key)
    }

    fn boolean(&mut self, key: &str, default: bool) -> Result<bool, MangoError> {
        match self.take(key) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(value),
            Some(other) => Err(MangoError::new(
                "invalid_boolean",
                format!("Invalid boolean value: {}", erlang::term(&other)),
            )),
        }
    }

    fn number(&mut self, key: &str, default: u64) -> Result<u64, MangoError> {
        match self.take(key) {
            None => Ok(default),
            Some(value) => value.as_u64().ok_or_else(|| {
                let told = erlang::term(&value);
                MangoError::new(
                    "invalid_non_neg_integer",
                    format!("{told} is not an integer greater than or equal to zero"),
                )
            }),
        }
    }
}

impl Query {
    /// Reads a query.
    pub fn parse(members: Object) -> Result<Self, MangoError> {
        let mut members = Members(members);
        let none = || Json::Array(Items::default());
        let selector_json = members
            .take("selector")
            .ok_or_else(|| MangoError::new("missing_required_key", "Missing required key: selector"))?;
        let selector = Selector::parse(&selector_json)?;
        let use_index = read_index(members.take("use_index").as_ref())?;
        let bookmark = members.take("bookmark").map_or(Ok(None), |value| Bookmark::parse(&value))?;
        let limit = members.number("limit", DEFAULT_LIMIT)?;
        let skip = members.number("skip", 0)?;
        let sort = Sort::parse(&members.take("sort").unwrap_or_else(none))?;
        let fields = Fields::parse(&members.take("fields").unwrap_or_else(none))?;
        let partition = match members.take("partition") {
            None => None,
            Some(Json::String(text)) if text.is_empty() => None,
            Some(Json::String(text)) => Some(text),
            Some(_) => return Err(MangoError::new("illegal_partition", "Partition must be a string")),
        };
        if let Some(r) = members.take("r")
            && r.as_u64().is_none_or(|r| r == 0)
        {
            let reason = format!("{} is not an integer greater than zero", erlang::term(&r));
            return Err(MangoError::new("invalid_pos_integer", reason));
        }
        let conflicts = members.boolean("conflicts", false)?;
        members.take("stale");
        members.boolean("update", true)?;
        members.boolean("stable", false)?;
        let execution_stats = members.boolean("execution_stats", false)?;
        let allow_fallback = members.boolean("allow_fallback", true)?;
        if let Some(key) = members.0.keys().next() {
            return Err(MangoError::new("invalid_key", format!("Invalid key {key} for this request.")));
        }
        let query = Self {
            selector,
            selector_json,
            bookmark,
            limit,
            skip,
            sort,
            fields,
            partition,
            conflicts,
            execution_stats,
            use_index,
            allow_fallback,
        };
        query.check_index()?;
        Ok(query)
    }

    /// There are no indexes, so one that must be used is missing.
    fn check_index(&self) -> Result<(), MangoError> {
        let names: Vec<&str> =
            self.use_index.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if self.allow_fallback {
            return Ok(());
        }
        let reason = match names.as_slice() {
            [] => "You must specify an index with the `use_index` parameter.".to_owned(),
            names => format!(
                "_design/{} specified by `use_index` could not be found or it is not suitable.",
                names.join(", ")
            ),
        };
        Err(MangoError::new("invalid_index", reason))
    }

    /// The options as `_explain` shows them.
    pub fn options(&self) -> Value {
        json!({
            "use_index": self.use_index,
            "bookmark": self.bookmark.as_ref().map_or_else(|| "nil".to_owned(), Bookmark::to_text),
            "limit": self.limit,
            "skip": self.skip,
            "sort": self.sort.to_json(),
            "fields": self.fields.names(),
            "partition": self.partition.as_deref().unwrap_or_default(),
            "r": 1,
            "conflicts": self.conflicts,
            "stale": false,
            "update": true,
            "stable": false,
            "execution_stats": self.execution_stats,
            "allow_fallback": self.allow_fallback,
        })
    }
}

fn read_index(value: Option<&Json>) -> Result<Value, MangoError> {
    let names = match value {
        None | Some(Json::Null) => return Ok(json!([])),
        Some(Json::String(text)) => {
            text.strip_prefix("_design/").unwrap_or(text).split('/').map(ToOwned::to_owned).collect()
        }
        Some(Json::Array(items)) => {
            let names: Option<Vec<String>> =
                items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect();
            names.unwrap_or_else(|| vec![String::new(); 3])
        }
        Some(_) => vec![String::new(); 3],
    };
    if names.len() > 2 {
        let told = value.map(erlang::term).unwrap_or_default();
        return Err(MangoError::new("invalid_index_name", format!("Invalid index name: {told}")));
    }
    Ok(json!(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: Value) -> Result<Query, MangoError> {
        match Json::from(value) {
            Json::Object(members) => Query::parse(members),
            _ => unreachable!("not an object"),
        }
    }

    #[test]
    fn a_bookmark_comes_back() {
        let bookmark = Bookmark { id: "ä".into(), key: vec![json!([1, {"a": null}]).into()] };
        let query = parse(json!({"selector": {}, "bookmark": bookmark.to_text()})).unwrap();
        assert_eq!(query.bookmark, Some(bookmark));
        for bad in [json!("nil"), json!("zzz"), json!(3)] {
            let told = parse(json!({"selector": {}, "bookmark": bad})).unwrap_err();
            assert_eq!(told.error, "invalid_bookmark");
        }
    }

    #[test]
    fn mistakes_in_the_words_of_couchdb() {
        for (query, error, reason) in [
            (json!({"sel": 1}), "missing_required_key", "Missing required key: selector"),
            (json!({"selector": {}, "x": 1}), "invalid_key", "Invalid key x for this request."),
            (
                json!({"selector": {}, "limit": -1}),
                "invalid_non_neg_integer",
                "-1 is not an integer greater than or equal to zero",
            ),
            (json!({"selector": {}, "update": 1}), "invalid_boolean", "Invalid boolean value: 1"),
            (
                json!({"selector": {}, "sort": ["a", {"b": "desc"}]}),
                "unsupported_mixed_sort",
                "Sorts currently only support a single direction for all fields.",
            ),
        ] {
            let told = parse(query).unwrap_err();
            assert_eq!((told.error, told.reason.as_str()), (error, reason));
        }
    }
}
