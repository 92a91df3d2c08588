//! Which changes are listed.
//!
//! Source: `couch_changes.erl` (`configure_filter/4`, `filter/5`).

use std::collections::HashSet;

use couchfile::json::Json;
use couchfile::revtree::Revision;
use mango::{Fields, MangoError, Selector};
use serde_json::Value;
use snapshot::Document;

use super::arguments::ChangesArguments;
use crate::api::context::Db;
use crate::api::document_query::Shown;
use crate::api::document_text::{DocumentText, value_of};
use crate::http::{Call, Failure, HttpError, Method, parse_json};

/// Which changes are listed.
pub(super) enum Filter {
    /// All.
    None,
    /// Those of these documents.
    DocIds(HashSet<String>),
    /// Those of design documents.
    Design,
    /// Changes of documents that match.
    Selector { selector: Box<Selector>, fields: Option<Fields> },
}

impl Filter {
    /// The filter that a request names.
    pub(super) fn of(call: &Call, arguments: &ChangesArguments, db: &Db) -> Result<Self, Failure> {
        match arguments.filter.as_str() {
            "" => Ok(Self::None),
            "_doc_ids" => Ok(doc_ids(call)?),
            "_design" => Ok(Self::Design),
            "_selector" => Ok(selector(call)?),
            "_view" => {
                let view = call.parameter("view").unwrap_or_default();
                if view.is_empty() {
                    return Err(HttpError::bad_request("`view` filter parameter is not provided.").into());
                }
                Err(HttpError::not_served("Filters that run a function of a design document").into())
            }
            name if name.starts_with('_') => {
                Err(HttpError::bad_request("unknown builtin filter name").into())
            }
            name => match name.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().as_slice() {
                [] => Ok(Self::None),
                [design, _] => {
                    let found = db.0.document(&format!("_design/{design}"))?;
                    if found.is_none_or(|doc| doc.is_deleted()) {
                        return Err(HttpError::not_found("missing").into());
                    }
                    Err(HttpError::not_served("Filters that run a function of a design document").into())
                }
                _ => {
                    Err(HttpError::bad_request("`filter` must be of the form `designname/filtername`").into())
                }
            },
        }
    }

    /// Which parts of the documents are shown; everything if `None`.
    pub(super) fn fields(&self) -> Option<&Fields> {
        match self {
            Self::Selector { fields, .. } => fields.as_ref(),
            Self::None | Self::DocIds(_) | Self::Design => None,
        }
    }

    /// The revisions that are listed of a changed document, if it is listed.
    pub(super) fn pass(
        &self,
        db: &Db,
        doc: &Document<'_>,
        arguments: &ChangesArguments,
    ) -> Result<Option<Vec<String>>, Failure> {
        let passes = match self {
            Self::None | Self::Selector { .. } => true,
            Self::DocIds(ids) => ids.contains(doc.id()),
            Self::Design => doc.id().starts_with("_design"),
        };
        if !passes {
            return Ok(None);
        }
        let leaves = arguments.style.leaves(db, doc)?;
        let Self::Selector { selector, .. } = self else {
            return Ok(Some(leaves.iter().map(ToString::to_string).collect()));
        };
        let mut revs = Vec::new();
        for leaf in &leaves {
            if leaf.stored.is_some() && selector.matches(&read(db, doc, *leaf)?) {
                revs.push(leaf.to_string());
            }
        }
        Ok((!revs.is_empty()).then_some(revs))
    }
}

/// A revision as selectors see it.
fn read(db: &Db, doc: &Document<'_>, leaf: Revision<'_>) -> Result<Json, Failure> {
    value_of(db, doc, &DocumentText::read(db, doc, leaf, Shown::default(), None)?.to_vec()?)
}

fn doc_ids(call: &Call) -> Result<Filter, HttpError> {
    let bad = || HttpError::bad_request("`doc_ids` filter parameter is not a list of doc ids.");
    let ids = match call.method {
        Method::Post => call.json_object()?.shift_remove("doc_ids"),
        _ => Some(parse_json(call.parameter("doc_ids").unwrap_or("null").as_bytes())?),
    };
    let Some(Value::Array(ids)) = ids else { return Err(bad()) };
    let texts = ids.into_iter().map(|id| match id {
        Value::String(id) => Ok(id),
        _ => Err(bad()),
    });
    Ok(Filter::DocIds(texts.collect::<Result<_, _>>()?))
}

fn selector(call: &Call) -> Result<Filter, HttpError> {
    if call.method != Method::Post {
        return Err(HttpError::bad_request("Selector must be specified in POST payload"));
    }
    let body = call.exact_object()?;
    let told = |error: MangoError| HttpError::bad_request(error.reason);
    let selector = match body.get("selector") {
        Some(selector @ Json::Object(_)) => Selector::parse(selector).map_err(told)?,
        _ => return Err(HttpError::bad_request("Selector error: expected a JSON object")),
    };
    let fields = match body.get("fields") {
        None | Some(Json::Null) => None,
        Some(fields @ Json::Array(_)) => Some(Fields::parse(fields).map_err(told)?),
        Some(_) => return Err(HttpError::bad_request("Selector error: fields must be JSON array")),
    };
    Ok(Filter::Selector { selector: Box::new(selector), fields })
}
