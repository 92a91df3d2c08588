//! Filters that keep revisions as they are or leave them out.

use couchfile::json::Json;
use mango::Selector;
use outcome::{Code, Failure, Result, printable};

use crate::{Filter, Glance, Session, Verdict};

/// What the ids of design documents begin with.
const DESIGN: &str = "_design/";
/// Members of a design document that make CouchDB build an index: views and Mango indexes, search indexes of clouseau and of
/// nouveau, and spatial ones. Sources: `couch_mrview_util.erl` (`ddoc_to_mrst/2`), `dreyfus_index.erl` (`design_doc_to_indexes/1`),
/// `nouveau_util.erl` (`design_doc_to_indexes/2`), `mango_idx_view.erl`.
const INDEXES: [&str; 4] = ["views", "indexes", "nouveau", "st_indexes"];

/// A choice among the revisions of a database.
#[derive(Debug, Clone)]
pub enum Choice {
    /// Those that are not deletions.
    WithoutDeleted,
    /// Those of design documents.
    OnlyDesignDocuments,
    /// All but those of design documents that define an index.
    WithoutViews,
    /// Those that match a selector, as in a replication with a selector: each leaf revision counts on its own, design documents and
    /// deletions like all others.
    Matching(Box<Matching>),
}

/// A selector and its text.
#[derive(Debug, Clone)]
pub struct Matching {
    selector: Selector,
    text: String,
}

/// Reads a selector: a JSON object as `_find` takes it in `selector`.
///
/// Fails if it is not JSON, or no selector.
pub fn parse_selector(text: &str) -> Result<Choice> {
    let remedy = "Give a JSON object as in the member `selector` of a query to _find, in single quotes: --selector \
                  '{\"type\": \"order\"}'.";
    let refused = |problem: String| Failure::refused(Code::new("CC-F01"), problem, remedy);
    let json = Json::parse(text.as_bytes())
        .map_err(|e| refused(format!("--selector {}: not JSON: {e}", printable(text))))?;
    let selector = Selector::parse(&json)
        .map_err(|e| refused(format!("--selector {}: {}", printable(text), printable(&e.reason))))?;
    Ok(Choice::Matching(Box::new(Matching { selector, text: text.to_owned() })))
}

impl Filter for Choice {
    fn at_a_glance(&self, revision: Glance<'_>) -> Option<Verdict> {
        let is_design = revision.id.starts_with(DESIGN);
        let keeps = match self {
            Self::WithoutDeleted => !revision.deleted,
            Self::OnlyDesignDocuments => is_design,
            Self::WithoutViews if is_design && !revision.deleted => return None,
            Self::WithoutViews => true,
            Self::Matching(_) => return None,
        };
        Some(if keeps { Verdict::Keep } else { Verdict::LeaveOut })
    }

    fn session(&self, _: &str) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }

    fn identity(&self) -> String {
        match self {
            Self::WithoutDeleted => "--without-deleted".into(),
            Self::OnlyDesignDocuments => "--design-docs-only".into(),
            Self::WithoutViews => "--no-views".into(),
            Self::Matching(matching) => format!("--selector {}", matching.text),
        }
    }
}

impl Session for &Choice {
    fn judge(&mut self, revision: Glance<'_>, document: &[u8]) -> Result<Verdict> {
        let document = Json::parse(document)
            .map_err(|e| Failure::bug(format!("{} is not valid as JSON: {e}", printable(revision.id))))?;
        let keeps = match self {
            Choice::Matching(matching) => matching.selector.matches(&document),
            Choice::WithoutViews => {
                !revision.id.starts_with(DESIGN)
                    || !INDEXES.iter().any(|member| document.get(member).is_some())
            }
            Choice::WithoutDeleted | Choice::OnlyDesignDocuments => {
                self.at_a_glance(revision) == Some(Verdict::Keep)
            }
        };
        Ok(if keeps { Verdict::Keep } else { Verdict::LeaveOut })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(choice: &Choice, document: &Value) -> Verdict {
        let id = document["_id"].as_str().unwrap();
        let deleted = document.get("_deleted").is_some();
        let revision = Glance { id, deleted };
        choice.at_a_glance(revision).unwrap_or_else(|| {
            choice.session("db").unwrap().judge(revision, document.to_string().as_bytes()).unwrap()
        })
    }

    fn keeps(choice: &Choice, document: &Value) -> bool {
        judge(choice, document) == Verdict::Keep
    }

    #[test]
    fn deletions_and_design_documents_are_told_apart() {
        let plain = json!({"_id": "a", "n": 1});
        let deleted = json!({"_id": "b", "_deleted": true});
        let design = json!({"_id": "_design/x", "validate_doc_update": "function() {}"});
        assert!(keeps(&Choice::WithoutDeleted, &plain) && !keeps(&Choice::WithoutDeleted, &deleted));
        assert!(keeps(&Choice::OnlyDesignDocuments, &design) && !keeps(&Choice::OnlyDesignDocuments, &plain));
        assert!(keeps(&Choice::WithoutViews, &design) && keeps(&Choice::WithoutViews, &plain));
        assert!(Choice::WithoutViews.at_a_glance(Glance { id: "_design/x", deleted: false }).is_none());
    }

    #[test]
    fn design_documents_with_any_index_are_left_out() {
        for member in ["views", "indexes", "nouveau", "st_indexes"] {
            let mut design = json!({"_id": "_design/x"});
            design[member] = json!({"v": {}});
            assert!(!keeps(&Choice::WithoutViews, &design), "{member}");
            design["_id"] = "x".into();
            assert!(keeps(&Choice::WithoutViews, &design), "{member}");
        }
        // Without its body there is nothing to build.
        let deleted = json!({"_id": "_design/x", "_deleted": true, "views": {}});
        assert!(keeps(&Choice::WithoutViews, &deleted));
    }

    #[test]
    fn a_selector_sees_the_document_as_http_shows_it() {
        let choice = parse_selector(r#"{"type": "order", "total": {"$gt": 10}}"#).unwrap();
        assert!(keeps(&choice, &json!({"_id": "a", "type": "order", "total": 11})));
        assert!(!keeps(&choice, &json!({"_id": "b", "type": "order", "total": 10})));
        let by_id = parse_selector(r#"{"_id": {"$beginsWith": "x"}}"#).unwrap();
        assert!(keeps(&by_id, &json!({"_id": "x1"})) && !keeps(&by_id, &json!({"_id": "y"})));
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["", "{", "[]", "7", r#"{"$nosuch": 1}"#] {
            assert_eq!(parse_selector(text).unwrap_err().code().to_string(), "CC-F01", "{text}");
        }
    }
}
