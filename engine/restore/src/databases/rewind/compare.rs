//! Whether a document is what it was.

use couchfile::document::JsonOptions;
use couchfile::error::CouchFileError;
use couchfile::json::Json;
use snapshot::Document;

/// Members of a document that are not content.
const ABOUT: [&str; 3] = ["_rev", "_conflicts", "_deleted_conflicts"];

/// Whether a document that exists has the content that it had: the same body and the same attachments.
pub(super) fn is_equal(then: &Document<'_>, now: &Json) -> Result<bool, CouchFileError> {
    let winner = then.winner()?;
    let text = then.json(&winner, JsonOptions::default())?;
    let then = Json::parse(&text).map_err(|e| CouchFileError::Invalid(e.to_string()))?;
    Ok(content(then) == content(now.clone()))
}

/// A document without what is not content.
fn content(mut document: Json) -> Json {
    if let Some(members) = document.as_object_mut() {
        for about in ABOUT {
            members.remove(about);
        }
        let attachments = members.remove("_attachments");
        if let Some(Json::Object(attachments)) = attachments {
            let mut pairs = attachments.into_pairs();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (name, mut attachment) in pairs {
                if let Some(members) = attachment.as_object_mut() {
                    // The generation in which it was written.
                    members.remove("revpos");
                }
                // No member of a document begins like this.
                members.insert(format!("_attachment {name}"), attachment);
            }
        }
    }
    document
}

/// The conflicting revisions that a document has now and did not have then.
pub(super) fn new_conflicts(then: Option<&Document<'_>>, now: &Json) -> Result<Vec<String>, CouchFileError> {
    let known = match then {
        Some(then) => then.conflicts(false)?,
        None => Vec::new(),
    };
    let now = now.get("_conflicts").and_then(Json::as_array).unwrap_or_default();
    Ok(now
        .iter()
        .filter_map(Json::as_str)
        .filter(|rev| !known.iter().any(|k| k == rev))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_generations_are_no_content() {
        let parse = |text: &str| content(Json::parse(text.as_bytes()).unwrap());
        let then = r#"{"_id":"a","_rev":"1-a","x":1,"_attachments":{"b":{"digest":"d","revpos":1},"a":{"digest":"e"}}}"#;
        let now = r#"{"_id":"a","_rev":"3-c","_conflicts":["1-b"],"_attachments":{"a":{"digest":"e"},"b":{"digest":"d","revpos":3}},"x":1}"#;
        assert_eq!(parse(then), parse(now));
        assert_ne!(parse(then), parse(&now.replace("\"x\":1", "\"x\":1.0")));
        assert_ne!(parse(then), parse(&now.replace("\"e\"", "\"f\"")));
        assert_ne!(parse(then), parse(r#"{"_id":"a","_rev":"1-a","x":1}"#));
    }
}
