//! Document filters that do what none should: the restore ends before anything is in place, and tells which plugin, which function,
//! which document and which database.

use std::path::Path;
use std::time::Duration;

use couchcopy_tests::hostile::{Answer, Guest, Home, Pattern, Step, Watched};
use couchcopy_tests::lab::back_up;
use couchcopy_tests::{Result, fixtures};

/// The longest that a command may take.
const LIMIT: Duration = Duration::from_secs(400);

/// A user with a backup.
struct Site {
    home: Home,
    archive: String,
}

impl Site {
    fn new() -> Result<Self> {
        let home = Home::new()?;
        let archive = home.path("a.tar.gz");
        back_up(&fixtures::single_node()?.nodes, &archive)?;
        Ok(Self { archive: text(&archive)?.to_owned(), home })
    }

    /// Restores through a guest; gives what was told, and whether anything is in place.
    fn restore(&self, guest: &Guest, more: &[&str]) -> Result<(Watched, bool)> {
        let plugin = self.home.write("evil.wasm", &guest.build()?)?;
        let out = self.home.path("out");
        let target = format!("{},n@127.0.41.1", text(&out)?);
        let mut all = vec!["restore", "--offline", "--json", "--transform", text(&plugin)?];
        all.extend(more);
        all.extend([self.archive.as_str(), &target]);
        let watched = self.home.couchcopy(&all, LIMIT)?;
        let is_there = out.join("_dbs.couch").exists();
        if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        Ok((watched, is_there))
    }
}

fn text(path: &Path) -> Result<&str> {
    Ok(path.to_str().ok_or("a path that is no text")?)
}

fn filter(steps: &[Step], answer: Answer) -> Guest {
    let mut guest = Guest::filter("evil");
    guest.filter.steps = steps.to_vec();
    guest.filter.answer = answer;
    guest
}

/// Seconds for a call: few where the call is to be ended, and many where something else is to be found on a busy machine.
fn deadline(code: &str) -> &'static str {
    if code == "CC-P18" { "1" } else { "100" }
}

/// Each ends with exit code 8 and its code.
#[test]
fn whatever_a_filter_does_nothing_is_in_place() -> Result<()> {
    let site = Site::new()?;
    let document = |text: &str| Answer::Document(text.into());
    let cases = [
        ("traps", filter(&[Step::Trap], Answer::Good), "CC-P22", "filter of the document"),
        ("recurses", filter(&[Step::Recurse], Answer::Good), "CC-P22", "filter of the document"),
        ("loops", filter(&[Step::Loop], Answer::Good), "CC-P18", "did not end within 1 s"),
        ("takes memory", filter(&[Step::Grab], Answer::Good), "CC-P19", "256 MiB"),
        ("answers from nowhere", filter(&[], Answer::At(u32::MAX - 3)), "CC-P22", "filter of the document"),
        ("gives a text from nowhere", filter(&[], at(u32::MAX, 10)), "CC-P22", "filter of the document"),
        ("gives too much", filter(&[Step::GrabAtOnce(400)], at(0, 20 << 20)), "CC-P21", "more data"),
        ("gives an error", filter(&[], Answer::Error("it rains".into())), "CC-P23", "it rains"),
        ("gives no JSON", filter(&[], document("{")), "CC-P46", "not JSON"),
        ("gives no UTF-8", filter(&[], Answer::Document(bytes(b"\xff"))), "CC-P22", "filter of the document"),
        ("gives null", filter(&[], document("null")), "CC-P46", "not an object"),
        ("gives another id", filter(&[], document(r#"{"_id":"x","_rev":"1-x"}"#)), "CC-P46", "`_id` is"),
        ("gives no revision", filter(&[], document("{}")), "CC-P46", "has lost its `_id`"),
    ];
    for (name, guest, code, told) in cases {
        let (watched, is_there) = site.restore(&guest, &["--grant", "evil", "--deadline", deadline(code)])?;
        let (message, remedy) = watched.error()?;
        let found = watched.json()?["error"]["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!((watched.ended.code, found.as_str()), (Some(8), code), "{name}: {message}");
        assert!(message.contains(told) && message.contains("cannot restore "), "{name}: {message}");
        assert!(code == "CC-P46" || message.contains("plugin evil 9.8.7"), "{name}: {message}");
        assert!(!remedy.is_empty() && !is_there, "{name}: {remedy}");
        assert_eq!(watched.control_characters(), [], "{name}");
    }
    Ok(())
}

/// A text of so many bytes at an address.
fn at(pointer: u32, length: u32) -> Answer {
    Answer::Document(couchcopy_tests::hostile::Text::At { pointer, length })
}

fn bytes(bytes: &[u8]) -> couchcopy_tests::hostile::Text {
    couchcopy_tests::hostile::Text::Bytes(bytes.to_vec())
}

/// What goes wrong before the first document names the database.
#[test]
fn a_filter_that_takes_no_settings() -> Result<()> {
    let site = Site::new()?;
    for (steps, code) in [(Step::Trap, "CC-P22"), (Step::Loop, "CC-P18"), (Step::Grab, "CC-P19")] {
        let mut guest = Guest::filter("evil");
        guest.configure.steps = vec![steps];
        let (watched, is_there) = site.restore(&guest, &["--grant", "evil", "--deadline", deadline(code)])?;
        let (message, _) = watched.error()?;
        assert_eq!(watched.json()?["error"]["code"], code, "{message}");
        assert!(message.contains("configure for the database") && !is_there, "{message}");
    }
    Ok(())
}

/// A filter is not used until it is granted, and never with commands, imports or as another kind.
#[test]
fn what_is_no_filter_or_is_not_granted() -> Result<()> {
    let site = Site::new()?;
    let keeps = Guest::filter("mine");
    let (watched, is_there) = site.restore(&keeps, &[])?;
    let (message, remedy) = watched.error()?;
    assert_eq!((watched.ended.code, is_there), (Some(5), false), "{message}");
    assert!(message.contains("has not been granted to decide about documents"), "{message}");
    assert!(remedy.contains("--grant mine") && remedy.contains("runs no commands"), "{remedy}");
    let mut with_commands = Guest::filter("evil");
    with_commands.description.commands = vec![Pattern::new(&["touch", "/tmp/x"])].into();
    for (guest, code) in
        [(with_commands, "CC-P12"), (Guest::service("evil"), "CC-P11"), (Guest::access("evil"), "CC-P11")]
    {
        let (watched, is_there) = site.restore(&guest, &["--grant", "evil"])?;
        assert_eq!((&watched.json()?["error"]["code"], is_there), (&code.into(), false), "{watched:?}");
    }
    let (watched, is_there) = site.restore(&keeps, &["--grant", "mine"])?;
    assert_eq!((watched.ended.code, is_there), (Some(0), true), "{watched:?}");
    assert_eq!(watched.json()?["transformed_by"], "mine 9.8.7");
    // From then on it is remembered, for these bytes.
    let plugin = site.home.path("evil.wasm");
    let granted = site.home.couchcopy(&["plugin", "grants", "--add", text(&plugin)?], LIMIT)?;
    assert_eq!(granted.ended.code, Some(0), "{granted:?}");
    assert!(site.restore(&keeps, &[])?.1);
    let mut other = keeps.clone();
    other.description.summary = "another".into();
    let (watched, is_there) = site.restore(&other, &[])?;
    assert!(!is_there && watched.error()?.0.contains("it has changed since then"), "{watched:?}");
    Ok(())
}

/// Guests that free nothing go on for any number of documents, and everything can be left out.
#[test]
fn a_filter_that_frees_nothing_and_one_that_lets_nothing_through() -> Result<()> {
    let site = Site::new()?;
    let greedy = filter(&[Step::GrabAtOnce(200)], Answer::Good);
    let (watched, is_there) = site.restore(&greedy, &["--grant", "evil"])?;
    assert_eq!((watched.ended.code, is_there), (Some(0), true), "{watched:?}");
    assert!(watched.peak < 1500, "{} MiB", watched.peak);
    let (watched, is_there) = site.restore(&filter(&[], Answer::LeaveOut), &["--grant", "evil"])?;
    let told = watched.json()?;
    assert_eq!((watched.ended.code, is_there), (Some(0), true), "{told}");
    let oracle = fixtures::oracle("single-node")?;
    let count = |name: &str| -> u64 {
        oracle.as_object().into_iter().flatten().filter_map(|(_, database)| database[name].as_u64()).sum()
    };
    assert_eq!(told["documents_left_out"], count("doc_count") + count("doc_del_count"));
    Ok(())
}
