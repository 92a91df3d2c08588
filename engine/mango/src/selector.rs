//! Selectors as a tree of operators, and how they are read.
//!
//! Source: `mango_selector.erl` (`norm_ops/1`).

use couchfile::json::{Json, Members};

use crate::collation::is_number;
use crate::error::MangoError;
use crate::normal;
use crate::path::Path;

/// A selector, read and brought into its normal form: what documents are to have.
#[derive(Debug, Clone)]
pub struct Selector(pub(crate) Node);

/// A range of ids in the order of their bytes, both ends inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdRange {
    /// Where it begins; `None`: at the first id.
    pub start: Option<String>,
    /// Where it ends; `None`: at the last id.
    pub end: Option<String>,
}

/// A condition on a value.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Matches everything.
    Anything,
    /// All of them.
    And(Vec<Node>),
    /// At least one; none at all is true.
    Or(Vec<Node>),
    /// None of them. Left only where normalising does not reach.
    Nor(Vec<Node>),
    /// Not that.
    Not(Box<Node>),
    /// A member of the value, by its name as far as it is known while reading.
    Field(String, Box<Node>),
    /// A member of the value, its name taken apart.
    At(Path, Box<Node>),
    /// At least one item of an array.
    AnyItem(Box<Node>),
    /// All items of an array that is not empty.
    AllItems(Box<Node>),
    /// At least one key of an object.
    AnyKey(Box<Node>),
    /// A full text search, which there is no index for.
    Text,
    /// Something about the value itself.
    Test(Test),
}

/// Something about one value.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// `$lt`
    Less(Json),
    /// `$lte`
    LessOrEqual(Json),
    /// `$eq`
    Equal(Json),
    /// `$ne`
    NotEqual(Json),
    /// `$gte`
    GreaterOrEqual(Json),
    /// `$gt`
    Greater(Json),
    /// `$in`
    In(Vec<Json>),
    /// `$nin`
    NotIn(Vec<Json>),
    /// `$all`
    All(Vec<Json>),
    /// `$exists`
    Exists(bool),
    /// `$type`
    Type(String),
    /// `$mod`
    Modulo(i64, i64),
    /// `$size`
    Size(u64),
    /// `$regex`
    Regex(Box<Regex>),
    /// `$beginsWith`
    BeginsWith(String),
}

/// A regular expression.
#[derive(Debug, Clone)]
pub(crate) struct Regex(pub(super) fancy_regex::Regex);

/// Steps of backtracking until an expression is taken to match nothing: PCRE has a limit of that kind, too.
const BACKTRACKING: usize = 100_000;
/// Largest compiled expression, in bytes.
const REGEX_SIZE: usize = 1 << 20;
/// Deepest nesting of operators and fields.
const DEPTH: usize = 64;

impl Selector {
    /// Reads a selector.
    pub fn parse(value: &Json) -> Result<Self, MangoError> {
        let Json::Object(members) = value else {
            let told = crate::erlang::term(value);
            return Err(MangoError::new(
                "invalid_selector_json",
                format!("Selector must be a JSON object, not: {told}"),
            ));
        };
        if members.is_empty() {
            return Ok(Self(Node::Anything));
        }
        normal::normalise(read_object(members, 0)?).map(Self)
    }
}

impl Selector {
    /// The ids that a document can have which matches; others may be among them.
    pub fn id_range(&self) -> IdRange {
        let mut range = IdRange::default();
        let nodes = match &self.0 {
            Node::And(nodes) => nodes.as_slice(),
            node => std::slice::from_ref(node),
        };
        for node in nodes {
            let Node::At(path, node) = node else { continue };
            let Node::Test(test) = &**node else { continue };
            if path.name != "_id" {
                continue;
            }
            let (low, high) = match test {
                Test::Equal(Json::String(id)) => (Some(id), Some(id)),
                Test::Greater(Json::String(id)) | Test::GreaterOrEqual(Json::String(id)) => (Some(id), None),
                Test::Less(Json::String(id)) | Test::LessOrEqual(Json::String(id)) => (None, Some(id)),
                Test::BeginsWith(prefix) => (Some(prefix), None),
                _ => continue,
            };
            range.start = range.start.max(low.map(ToString::to_string));
            range.end = match (range.end, high.map(ToString::to_string)) {
                (Some(end), Some(high)) => Some(end.min(high)),
                (end, high) => end.or(high),
            };
        }
        range
    }
}

/// Reads an object that stands where operators and fields may.
fn read_object(members: &Members, depth: usize) -> Result<Node, MangoError> {
    if depth > DEPTH {
        return Err(MangoError::new("invalid_selector", "The selector is nested too deeply."));
    }
    let mut members = members.iter();
    let first = members.next();
    match (first, members.len()) {
        (None, _) => Ok(Node::Test(Test::Equal(Json::Object(Members::default())))),
        (Some((key, value)), 0) => read_member(key, value, depth),
        (Some(first), _) => {
            let all = std::iter::once(first).chain(members);
            Ok(Node::And(all.map(|(key, value)| read_member(key, value, depth)).collect::<Result<_, _>>()?))
        }
    }
}

fn read_value(value: &Json, depth: usize) -> Result<Node, MangoError> {
    match value {
        Json::Object(members) => read_object(members, depth + 1),
        _ => Ok(Node::Test(Test::Equal(value.clone()))),
    }
}

fn read_member(key: &str, value: &Json, depth: usize) -> Result<Node, MangoError> {
    let bad = || MangoError::bad_argument(key, value);
    let several = || -> Result<Vec<Node>, MangoError> {
        value.as_array().ok_or_else(bad)?.iter().map(|item| read_value(item, depth)).collect()
    };
    let one = || -> Result<Box<Node>, MangoError> {
        read_object(value.as_object().ok_or_else(bad)?, depth + 1).map(Box::new)
    };
    let values = || value.as_array().map(<[Json]>::to_vec).ok_or_else(bad);
    let test = match key {
        "$and" => return Ok(Node::And(several()?)),
        "$or" => return Ok(Node::Or(several()?)),
        "$nor" => return Ok(Node::Nor(several()?)),
        "$not" => return Ok(Node::Not(one()?)),
        "$elemMatch" => return Ok(Node::AnyItem(one()?)),
        "$allMatch" => return Ok(Node::AllItems(one()?)),
        "$keyMapMatch" => return Ok(Node::AnyKey(one()?)),
        "$text" if value.as_str().is_some() || value.as_bool().is_some() || is_number(value) => {
            return Ok(Node::Text);
        }
        "$text" => return Err(bad()),
        "$lt" => Test::Less(value.clone()),
        "$lte" => Test::LessOrEqual(value.clone()),
        "$eq" => Test::Equal(value.clone()),
        "$ne" => Test::NotEqual(value.clone()),
        "$gte" => Test::GreaterOrEqual(value.clone()),
        "$gt" => Test::Greater(value.clone()),
        "$in" => Test::In(values()?),
        "$nin" => Test::NotIn(values()?),
        "$all" => Test::All(values()?),
        "$exists" => Test::Exists(value.as_bool().ok_or_else(bad)?),
        "$type" => Test::Type(value.as_str().ok_or_else(bad)?.to_owned()),
        "$mod" => read_modulo(value).ok_or_else(bad)?,
        "$size" => Test::Size(value.as_u64().ok_or_else(bad)?),
        // CouchDB knows these with a text behind them only.
        "$regex" | "$beginsWith" if value.as_str().is_none() => {
            return Err(MangoError::new("invalid_operator", format!("Invalid operator: {key}")));
        }
        "$regex" => Test::Regex(Box::new(read_regex(value.as_str().ok_or_else(bad)?).ok_or_else(bad)?)),
        "$beginsWith" => Test::BeginsWith(value.as_str().ok_or_else(bad)?.to_owned()),
        "$where" | "$geoWithin" | "$geoIntersects" | "$near" | "$nearSphere" => {
            return Err(MangoError::new("not_supported", format!("Unsupported operator: {key}")));
        }
        _ if key.starts_with('$') => {
            return Err(MangoError::new("invalid_operator", format!("Invalid operator: {key}")));
        }
        _ => return Ok(Node::Field(key.to_owned(), Box::new(read_value(value, depth)?))),
    };
    Ok(Node::Test(test))
}

/// `[divisor, remainder]`. Nothing can be divided by zero: CouchDB finds that out when it meets a number.
fn read_modulo(value: &Json) -> Option<Test> {
    match value.as_array()? {
        [divisor, remainder] if divisor.as_i64()? != 0 => {
            Some(Test::Modulo(divisor.as_i64()?, remainder.as_i64()?))
        }
        _ => None,
    }
}

fn read_regex(text: &str) -> Option<Regex> {
    fancy_regex::RegexBuilder::new(text)
        .backtrack_limit(BACKTRACKING)
        .delegate_size_limit(REGEX_SIZE)
        .build()
        .ok()
        .map(Regex)
}
