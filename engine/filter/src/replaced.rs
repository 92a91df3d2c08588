//! What a filter gives back in place of a document: whether it can be that document, and what is written of it.

use couchfile::ejson;
use couchfile::json::{Json, Members};

/// The leaf revision that was given to a filter.
#[derive(Debug, Clone, Copy)]
pub struct Before<'b> {
    /// The document's id.
    pub id: &'b str,
    /// The revision.
    pub rev: &'b str,
    /// Whether it is a deletion.
    pub deleted: bool,
    /// All of it, as JSON text.
    pub text: &'b [u8],
}

/// What takes the place of a leaf revision's content.
#[derive(Debug, Clone, PartialEq)]
pub struct Replaced {
    body: Vec<(String, Json)>,
    attachments: Vec<String>,
}

impl Before<'_> {
    /// Members that must not change.
    fn fixed(&self) -> [(&'static str, Option<Json>); 3] {
        let text = |text: &str| Some(Json::from(text));
        [
            ("_id", text(self.id)),
            ("_rev", text(self.rev)),
            ("_deleted", self.deleted.then_some(Json::Bool(true))),
        ]
    }
}

const FIXED: [&str; 3] = ["_id", "_rev", "_deleted"];
const ATTACHMENTS: &str = "_attachments";

impl Replaced {
    /// Reads what a filter gave back, JSON text.
    ///
    /// Fails if it is not this document with another content; the error says why.
    pub fn of(before: &Before<'_>, after: &[u8]) -> Result<Self, String> {
        let Json::Object(members) = Json::parse(after).map_err(|e| format!("it is not JSON ({e})"))? else {
            return Err("it is not an object".into());
        };
        for (name, expected) in before.fixed() {
            let mut found = members.iter().filter(|(found, _)| *found == name).map(|(_, value)| value);
            let (first, second) = (found.next(), found.next());
            if first != expected.as_ref() || second.is_some() {
                return Err(match (first, second) {
                    (_, Some(_)) => format!("it has `{name}` twice"),
                    (None, _) => format!("it has lost its `{name}`"),
                    (Some(value), _) => format!("its `{name}` is {value}"),
                });
            }
        }
        // Most documents have no other members of CouchDB than these three, and are not read a second time.
        let mut attachments = Vec::new();
        if members.keys().any(|name| name.starts_with('_') && !FIXED.contains(&name)) {
            let old =
                Json::parse(before.text).map_err(|e| format!("the document itself is not JSON ({e})"))?;
            if let Some(found) = members.get(ATTACHMENTS) {
                attachments = kept(found, old.get(ATTACHMENTS))?;
            }
            let new = |name: &&str| name.starts_with('_') && is_own(name) && old.get(name).is_none();
            if let Some(name) = members.keys().find(new) {
                return Err(format!("it has got `{name}`, and CouchDB allows no such member"));
            }
        }
        let mut body = members.into_pairs();
        body.retain(|(name, _)| is_own(name));
        Ok(Self { body, attachments })
    }

    /// The body as a term, without version byte.
    pub fn term(&self) -> Result<Vec<u8>, String> {
        let members = self.body.iter().map(|(name, value)| (name.as_str(), value));
        ejson::encode_members(members).map_err(|e| e.to_string())
    }

    /// The names of the attachments that stay.
    pub fn attachments(&self) -> &[String] {
        &self.attachments
    }

    /// The document with this content in place of its own. `document` is JSON text with members for CouchDB, such as `_revisions` or
    /// attachments with their content.
    pub fn in_place_of(self, document: &[u8]) -> Result<Vec<u8>, String> {
        let Json::Object(members) = Json::parse(document).map_err(|e| e.to_string())? else {
            return Err("the document itself is not an object".into());
        };
        let mut all = members.into_pairs();
        all.retain(|(name, _)| FIXED.contains(&name.as_str()) || name == "_revisions" || name == ATTACHMENTS);
        if self.attachments.is_empty() {
            all.retain(|(name, _)| name != ATTACHMENTS);
        }
        for (_, value) in all.iter_mut().filter(|(name, _)| name == ATTACHMENTS) {
            if let Json::Object(members) = value {
                let mut stay = std::mem::take(members).into_pairs();
                stay.retain(|(name, _)| self.attachments.contains(name));
                *members = stay.into_iter().collect();
            }
        }
        all.extend(self.body);
        Ok(Json::Object(all.into_iter().collect()).to_exact_vec())
    }
}

/// Whether a member is one of the document's own, and not one of CouchDB.
fn is_own(name: &str) -> bool {
    !name.starts_with('_') || (!FIXED.contains(&name) && name != ATTACHMENTS)
}

/// The names of the attachments that stay.
fn kept(attachments: &Json, before: Option<&Json>) -> Result<Vec<String>, String> {
    let none = Members::default();
    let Some(attachments) = attachments.as_object() else {
        return Err(format!("its `{ATTACHMENTS}` is not an object"));
    };
    let before = before.and_then(Json::as_object).unwrap_or(&none);
    for (name, value) in attachments {
        match before.get(name) {
            Some(stub) if stub == value => {}
            Some(_) => {
                return Err(format!("its attachment {name:?} has changed; it can only stay as it is or go"));
            }
            None => return Err(format!("it names the attachment {name:?}, which it does not have")),
        }
    }
    Ok(attachments.keys().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"{"_id":"a","_rev":"2-x","_attachments":{"p":{"stub":true,"length":1},"q":{"stub":true}},"_extra":1,"n":"Ada"}"#;

    fn changed(after: &str) -> Result<(String, Vec<String>), String> {
        let before = Before { id: "a", rev: "2-x", deleted: false, text: BEFORE.as_bytes() };
        let replaced = Replaced::of(&before, after.as_bytes())?;
        let mut text = Vec::new();
        ejson::write_json(&mut couchfile::term::Decoder::new(&replaced.term()?), &mut text).unwrap();
        Ok((String::from_utf8(text).unwrap(), replaced.attachments))
    }

    #[test]
    fn the_content_and_fewer_attachments() {
        let of = |text: &str, names: &[&str]| {
            Ok((text.to_owned(), names.iter().map(ToString::to_string).collect()))
        };
        assert_eq!(changed(BEFORE), of(r#"{"_extra":1,"n":"Ada"}"#, &["p", "q"]));
        assert_eq!(changed(r#"{"_id":"a","_rev":"2-x"}"#), of("{}", &[]));
        let one = r#" {"b":[1],"_rev":"2-x","_attachments":{"q":{"stub":true}},"_id":"\u0061"} "#;
        assert_eq!(changed(one), of(r#"{"b":[1]}"#, &["q"]));
    }

    #[test]
    fn in_place_of_the_document_that_is_sent() {
        let sent = br#"{"_id":"a","_rev":"2-x","_revisions":{"start":2,"ids":["x","y"]},
            "_attachments":{"p":{"data":"AA=="},"q":{"data":"AQ=="}},"_extra":1,"n":"Ada"}"#;
        let before = Before { id: "a", rev: "2-x", deleted: false, text: BEFORE.as_bytes() };
        let of = |after: &str| Replaced::of(&before, after.as_bytes()).unwrap().in_place_of(sent).unwrap();
        assert_eq!(
            String::from_utf8(of(r#"{"b":1,"_id":"a","_rev":"2-x","_attachments":{"q":{"stub":true}}}"#))
                .unwrap(),
            r#"{"_id":"a","_rev":"2-x","_revisions":{"start":2,"ids":["x","y"]},"_attachments":{"q":{"data":"AQ=="}},"b":1}"#
        );
        let without = of(r#"{"_id":"a","_rev":"2-x"}"#);
        assert_eq!(without, br#"{"_id":"a","_rev":"2-x","_revisions":{"start":2,"ids":["x","y"]}}"#);
    }

    #[test]
    fn what_is_not_this_document() {
        for (after, problem) in [
            ("", "not JSON"),
            ("nul", "not JSON"),
            ("null", "not an object"),
            ("[]", "not an object"),
            (r#"{"_rev":"2-x"}"#, "lost its `_id`"),
            (r#"{"_id":"b","_rev":"2-x"}"#, "its `_id` is"),
            (r#"{"_id":"a","_id":"a","_rev":"2-x"}"#, "twice"),
            (r#"{"_id":"a"}"#, "lost its `_rev`"),
            (r#"{"_id":"a","_rev":"3-x"}"#, "its `_rev` is"),
            (r#"{"_id":"a","_rev":"2-x","_deleted":true}"#, "its `_deleted` is true"),
            (r#"{"_id":"a","_rev":"2-x","_new":1}"#, "got `_new`"),
            (r#"{"_id":"a","_rev":"2-x","_attachments":[]}"#, "not an object"),
            (r#"{"_id":"a","_rev":"2-x","_attachments":{"z":{"stub":true}}}"#, "does not have"),
            (r#"{"_id":"a","_rev":"2-x","_attachments":{"q":{"data":""}}}"#, "has changed"),
        ] {
            let found = changed(after).unwrap_err();
            assert!(found.contains(problem), "{after}: {found}");
        }
    }
}
