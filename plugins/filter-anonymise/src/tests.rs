//! The filter as couchcopy calls it.

use couchcopy_plugin::testing::FilterTest;
use serde_json::{Value, json};

use super::*;

fn test() -> FilterTest<Anonymise> {
    FilterTest::new().set("key", "0123456789abcdef")
}

/// What becomes of a document; the document itself if it is kept.
fn filtered(test: &FilterTest<Anonymise>, document: &Value) -> Value {
    match test.filter(&document.to_string()).unwrap() {
        Verdict::Keep => document.clone(),
        Verdict::Replace(text) => serde_json::from_str(&text).unwrap(),
        Verdict::LeaveOut => Value::Null,
    }
}

fn person() -> Value {
    json!({
        "_id": "person-1", "_rev": "3-a", "_attachments": {"photo.jpg": {"stub": true}}, "type": "person", "name": "Ada",
        "address": {"street": "Main Street", "city": "London"}, "contacts": [{"email": "ada@example.org", "kind": "work"}],
        "friend": "Ada", "born": 1815, "notes": {"secret": ["x"]}, "active": true,
    })
}

#[test]
fn members_are_replaced_and_removed() {
    let test =
        test().set("replace", "name friend address.street contacts.*.email born").set("remove", "notes");
    let changed = filtered(&test, &person());
    for same in ["_id", "_rev", "_attachments", "type", "active"] {
        assert_eq!(changed[same], person()[same], "{same}");
    }
    assert_eq!(changed["address"]["city"], "London");
    assert_eq!(changed["contacts"][0]["kind"], "work");
    assert_eq!(changed["name"], changed["friend"], "references still match");
    assert!(changed.get("notes").is_none());
    let text = changed.to_string();
    for trace in ["Ada", "Main Street", "ada@", "1815", "secret"] {
        assert!(!text.contains(trace), "{trace}: {text}");
    }
    assert_eq!(
        filtered(&test, &json!({"_id": "a", "_rev": "1-a", "type": "other"})),
        json!({"_id": "a", "_rev": "1-a", "type": "other"})
    );
}

#[test]
fn everything_but_what_is_kept() {
    let test = test().set("replace", "*").set("keep", "type contacts.*.kind").set("drop-attachments", "true");
    let changed = filtered(&test, &person());
    assert_eq!((&changed["type"], &changed["contacts"][0]["kind"]), (&json!("person"), &json!("work")));
    assert_eq!(changed["active"], true);
    assert!(changed.get("_attachments").is_none());
    let text = changed.to_string();
    for trace in ["Ada", "Main", "London", "ada@", "1815", "\"x\""] {
        assert!(!text.contains(trace), "{trace}: {text}");
    }
}

#[test]
fn what_is_kept_does_not_keep_what_is_removed() {
    let test = test().set("keep", "notes contacts").set("remove", "notes.secret contacts.*.email");
    let changed = filtered(&test, &person());
    assert_eq!((&changed["notes"], &changed["contacts"]), (&json!({}), &json!([{"kind": "work"}])));
}

#[test]
fn users_lose_their_passwords_and_keep_their_names() {
    let user = json!({
        "_id": "org.couchdb.user:ada", "_rev": "1-a", "type": "user", "name": "ada", "roles": ["r"], "password_scheme": "pbkdf2",
        "pbkdf2_prf": "sha256", "salt": "s", "iterations": 600_000, "derived_key": "d", "mail": "ada@example.org",
    });
    let test = test().set("replace", "*");
    let changed = filtered(&test, &user);
    let names: Vec<&String> = changed.as_object().unwrap().keys().collect();
    assert_eq!(names, ["_id", "_rev", "type", "name", "roles", "mail"]);
    assert_eq!((&changed["name"], &changed["roles"]), (&user["name"], &user["roles"]));
    let kept = filtered(&test.set("keep-passwords", "true"), &user);
    assert_eq!(kept["derived_key"], "d");
}

#[test]
fn design_documents_and_replications() {
    let design = json!({"_id": "_design/a", "_rev": "1-a", "name": "x"});
    let other = json!({"_id": "a", "_rev": "1-a", "name": "x"});
    let test = test().set("replace", "name");
    assert_eq!(filtered(&test, &design), design);
    let without =
        FilterTest::<Anonymise>::new().set("key", "0123456789abcdef").set("keep-design-documents", "false");
    assert_eq!(filtered(&without, &design), Value::Null);
    for (database, goes) in [("_replicator", true), ("team/_replicator", true), ("shop", false)] {
        let of = |document| {
            filtered(
                &FilterTest::<Anonymise>::new().set("key", "0123456789abcdef").database(database),
                document,
            )
        };
        assert_eq!(of(&other).is_null(), goes, "{database}");
        assert_eq!(of(&design), design);
    }
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (name, value) in
        [("key", "short"), ("replace", "_id"), ("remove", "a..b"), ("keep", "'"), ("keep-passwords", "yes")]
    {
        match test().set(name, value).configure() {
            Err(Error::InvalidSetting(wrong)) => assert_eq!(wrong.name, name),
            other => panic!("{name}={value}: {:?}", other.map(drop)),
        }
    }
}
