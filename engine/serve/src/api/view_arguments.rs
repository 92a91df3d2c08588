//! Parameters of lists: `_all_docs` and its kin, `_all_dbs`.
//!
//! Sources: `couch_mrview_http.erl` (`parse_params/4`), `couch_mrview_util.erl` (`validate_args/1`).

use serde_json::{Map, Value};
use snapshot::Walk;

use super::partition;
use crate::http::{Call, HttpError, Method, parse_json};

/// Which part of a list is wanted, and in which form.
#[derive(Debug, Clone, Default)]
pub(super) struct ViewArguments {
    /// The keys that are wanted; all if `None`.
    pub(super) keys: Option<Vec<Value>>,
    /// The key to begin at.
    pub(super) start_key: Option<Value>,
    /// The key to end at.
    pub(super) end_key: Option<Value>,
    /// The id to begin at, if there is no start key.
    start_id: Option<String>,
    /// The id to end at, if there is no end key.
    end_id: Option<String>,
    /// Whether the end key is excluded.
    pub(super) exclusive_end: bool,
    /// Whether the order is descending.
    pub(super) descending: bool,
    /// The largest number of rows.
    pub(super) limit: Option<u64>,
    /// The number of rows to skip.
    pub(super) skip: u64,
    /// Whether documents come with the rows.
    pub(super) include_docs: bool,
    /// Whether the documents list their conflicts.
    pub(super) conflicts: bool,
    /// Whether the documents contain their attachments.
    pub(super) attachments: bool,
    /// Whether the documents show how attachments are encoded.
    pub(super) att_encoding_info: bool,
    /// Whether the answer contains the update sequence.
    pub(super) update_seq: bool,
    /// Whether CouchDB's own local documents are shown.
    pub(super) include_system: bool,
    /// The partition to which the documents belong, if only one is wanted.
    pub(super) partition: Option<String>,
    reduce: Option<bool>,
}

/// A walk over ids, if any id can be on it.
pub(super) type Range = Option<Walk>;

impl ViewArguments {
    /// The parameters of a request: those in the body first, then those in the path.
    pub(super) fn of(call: &Call) -> Result<Self, HttpError> {
        let mut arguments = Self::default();
        if call.method == Method::Post {
            call.check_json_type()?;
            let members = call.json_object()?;
            arguments.keys = keys_of(members.get("keys"), "`keys` body member must be an array.")?;
            for (key, value) in members.iter().filter(|(key, _)| *key != "keys") {
                arguments.read(key, Given::Json(value))?;
            }
        } else if let Some(text) = call.parameter("keys") {
            let keys = parse_json(text.as_bytes())?;
            arguments.keys = keys_of(Some(&keys), "`keys` parameter must be an array.")?;
        }
        for (key, value) in &call.query {
            if key != "keys" {
                arguments.read(key, Given::Text(value))?;
            }
        }
        arguments.check()?;
        Ok(arguments)
    }

    /// The parameters of one of several queries in a body.
    pub(super) fn of_query(query: &Map<String, Value>) -> Result<Self, HttpError> {
        let mut arguments = Self::default();
        query.iter().try_for_each(|(key, value)| arguments.read(key, Given::Json(value)))?;
        arguments.check()?;
        Ok(arguments)
    }

    /// Only keys in this partition.
    pub(super) fn within(mut self, partition: &str) -> Result<Self, HttpError> {
        if self.partition.as_deref().is_some_and(|found| found != partition) {
            return Err(HttpError::bad_request("Conflicting value for `partition` in query string"));
        }
        self.partition = Some(partition.to_owned());
        Ok(self)
    }

    fn read(&mut self, key: &str, value: Given<'_>) -> Result<(), HttpError> {
        match key {
            "key" => {
                let key = value.json()?;
                (self.start_key, self.end_key) = (Some(key.clone()), Some(key));
            }
            "keys" => match value.json()? {
                Value::Array(keys) if keys.len() == 1 => {
                    (self.start_key, self.end_key) = (keys.first().cloned(), keys.first().cloned());
                }
                Value::Array(keys) => self.keys = Some(keys),
                _ => return Err(HttpError::query_parse("`keys` must be an array of strings.")),
            },
            "startkey" | "start_key" => self.start_key = Some(value.json()?),
            "endkey" | "end_key" => self.end_key = Some(value.json()?),
            "startkey_docid" | "start_key_doc_id" => self.start_id = Some(value.text()),
            "endkey_docid" | "end_key_doc_id" => self.end_id = Some(value.text()),
            "limit" => self.limit = Some(value.number()?),
            "skip" => self.skip = value.number()?,
            "group_level" => {
                value.number()?;
            }
            "descending" => self.descending = value.boolean()?,
            "inclusive_end" => self.exclusive_end = !value.boolean()?,
            "include_docs" => self.include_docs = value.boolean()?,
            "conflicts" => self.conflicts = value.boolean()?,
            "attachments" => self.attachments |= value.boolean()?,
            "att_encoding_info" => self.att_encoding_info |= value.boolean()?,
            "update_seq" => self.update_seq = value.boolean()?,
            "include_system" => self.include_system = value.text() == "true",
            "reduce" => self.reduce = Some(value.boolean()?),
            "group" | "sorted" => {
                value.boolean()?;
            }
            "stale" if !["ok", "update_after"].contains(&value.text().as_str()) => {
                return Err(HttpError::query_parse("Invalid value for `stale`."));
            }
            "stable" if !["true", "false"].contains(&value.text().as_str()) => {
                return Err(HttpError::query_parse("Invalid value for `stable`."));
            }
            "update" if !["true", "false", "lazy"].contains(&value.text().as_str()) => {
                return Err(HttpError::query_parse("Invalid value for `update`."));
            }
            "partition" => {
                let partition = value.text();
                partition::check(&partition)?;
                self.partition = Some(partition);
            }
            // Parameters that nobody knows are passed over.
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), HttpError> {
        if self.reduce == Some(true) {
            return Err(HttpError::query_parse("Reduce is invalid for map-only views."));
        }
        if self.keys.is_some() && (self.start_key.is_some() || self.end_key.is_some()) {
            return Err(HttpError::query_parse(
                "`keys` is incompatible with `key`, `start_key` and `end_key`",
            ));
        }
        Ok(())
    }

    /// The walk over the wanted ids among those that begin with `prefix` (all ids if it is empty).
    pub(super) fn range(&self, prefix: &str) -> Range {
        let all = if prefix.is_empty() { Walk::default() } else { Walk::prefix(prefix) };
        let (low, high) = (all.start, all.end);
        let mut walk = Walk { descending: self.descending, ..Walk::default() };
        // Everything that is not a text comes before all texts to Erlang.
        let start = End::of(self.start_key.as_ref(), self.start_id.as_deref());
        let end = End::of(self.end_key.as_ref(), self.end_id.as_deref());
        match start {
            End::BeforeAll if self.descending => return None,
            End::Open | End::BeforeAll => {}
            End::At(id) => walk.start = Some(id),
        }
        match end {
            End::BeforeAll if !self.descending => return None,
            End::Open | End::BeforeAll => {}
            End::At(id) => (walk.end, walk.exclusive_end) = (Some(id), self.exclusive_end),
        }
        Some(narrow(walk, low, high))
    }
}

/// A walk that leaves out everything below `low`, and everything from `high` on.
fn narrow(mut walk: Walk, low: Option<Vec<u8>>, high: Option<Vec<u8>>) -> Walk {
    let (Some(low), Some(high)) = (low, high) else { return walk };
    if walk.descending {
        if walk.start.as_ref().is_none_or(|start| *start >= high) {
            // Nothing is between the last id with the prefix and this one but ids that are longer: 0xff is in no text.
            let mut last = high.clone();
            if let Some(byte) = last.last_mut() {
                *byte -= 1;
            }
            last.push(u8::MAX);
            walk.start = Some(last);
        }
        if walk.end.as_ref().is_none_or(|end| *end < low) {
            (walk.end, walk.exclusive_end) = (Some(low), false);
        }
    } else {
        if walk.start.as_ref().is_none_or(|start| *start < low) {
            walk.start = Some(low);
        }
        if walk.end.as_ref().is_none_or(|end| *end >= high) {
            (walk.end, walk.exclusive_end) = (Some(high), true);
        }
    }
    walk
}

/// One end of a range.
enum End {
    Open,
    BeforeAll,
    At(Vec<u8>),
}

impl End {
    fn of(key: Option<&Value>, id: Option<&str>) -> Self {
        match (key, id) {
            (Some(Value::String(id)), _) => Self::At(id.as_bytes().to_vec()),
            (Some(_), _) => Self::BeforeAll,
            (None, Some(id)) if !id.is_empty() => Self::At(id.as_bytes().to_vec()),
            (None, _) => Self::Open,
        }
    }
}

/// A parameter's value as it came.
#[derive(Clone, Copy)]
enum Given<'v> {
    Text(&'v str),
    Json(&'v Value),
}

impl Given<'_> {
    fn json(self) -> Result<Value, HttpError> {
        match self {
            Self::Text(text) => parse_json(text.as_bytes()),
            Self::Json(value) => Ok(value.clone()),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Json(Value::String(text)) => text.clone(),
            Self::Json(value) => value.to_string(),
        }
    }

    fn boolean(self) -> Result<bool, HttpError> {
        match self.text().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            // What is not a text was made one, whichever way it came.
            text => Err(HttpError::query_parse(format!("Invalid boolean parameter: {}", Value::from(text)))),
        }
    }

    fn number(self) -> Result<u64, HttpError> {
        let number = match self {
            Self::Text(text) => text.trim_start_matches('+').parse::<i64>().ok(),
            Self::Json(value) => value.as_i64(),
        };
        match number {
            Some(number) => u64::try_from(number).map_err(|_| {
                HttpError::query_parse(format!("Invalid value for positive integer: {}", self.quoted()))
            }),
            None => Err(HttpError::query_parse(format!("Invalid value for integer: {}", self.quoted()))),
        }
    }

    /// The value as Erlang prints it.
    fn quoted(self) -> String {
        match self {
            Self::Text("") => "[]".into(),
            Self::Text(text) => Value::from(text).to_string(),
            Self::Json(Value::String(text)) => format!("<<{}>>", Value::from(text.as_str())),
            Self::Json(value) => value.to_string(),
        }
    }
}

fn keys_of(value: Option<&Value>, problem: &str) -> Result<Option<Vec<Value>>, HttpError> {
    match value {
        None => Ok(None),
        Some(Value::Array(keys)) => Ok(Some(keys.clone())),
        Some(_) => Err(HttpError::bad_request(problem)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use serde_json::json;

    use super::*;

    fn of(query: &str) -> Result<ViewArguments, HttpError> {
        ViewArguments::of(&Call::parse(
            "GET",
            &format!("/d/_all_docs?{query}").parse().unwrap(),
            HeaderMap::new(),
        )?)
    }

    #[test]
    fn mistakes_in_the_words_of_couchdb() {
        for (query, error, reason) in [
            ("limit=abc", "query_parse_error", "Invalid value for integer: \"abc\""),
            ("limit=", "query_parse_error", "Invalid value for integer: []"),
            ("skip=-1", "query_parse_error", "Invalid value for positive integer: \"-1\""),
            ("include_docs=maybe", "query_parse_error", "Invalid boolean parameter: \"maybe\""),
            ("startkey=abc", "bad_request", "invalid UTF-8 JSON"),
            ("keys=3", "bad_request", "`keys` parameter must be an array."),
            (
                "keys=[1,2]&startkey=1",
                "query_parse_error",
                "`keys` is incompatible with `key`, `start_key` and `end_key`",
            ),
            ("reduce=true", "query_parse_error", "Reduce is invalid for map-only views."),
            ("stale=x", "query_parse_error", "Invalid value for `stale`."),
        ] {
            let told = of(query).unwrap_err();
            assert_eq!((told.error.as_str(), told.reason.as_str()), (error, reason), "{query}");
        }
        let body = json!({"limit": "x"});
        let told = ViewArguments::of_query(body.as_object().unwrap()).unwrap_err();
        assert_eq!(told.reason, "Invalid value for integer: <<\"x\">>");
    }

    #[test]
    fn ranges() {
        let range = |query: &str, prefix: &str| of(query).unwrap().range(prefix);
        let walk = range("startkey=%22a%22&endkey=%22b%22&inclusive_end=false", "").unwrap();
        assert_eq!(walk.start.as_deref(), Some(&b"a"[..]));
        assert!(walk.exclusive_end && !walk.descending);
        // A number comes before all ids.
        assert_eq!(range("startkey=1", ""), Some(Walk::default()));
        assert_eq!(range("endkey=1", ""), None);
        assert_eq!(range("startkey=1&descending=true", ""), None);
        let design = range("startkey=%22a%22", "_design/").unwrap();
        assert_eq!((design.start.unwrap(), design.end.unwrap()), (b"a".to_vec(), b"_design0".to_vec()));
        let back = range("descending=true", "_design/").unwrap();
        assert_eq!(
            (back.start.unwrap(), back.end.unwrap()),
            (b"_design/\xff".to_vec(), b"_design/".to_vec())
        );
    }
}
