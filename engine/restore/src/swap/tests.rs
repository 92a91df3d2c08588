//! The exchange on a folder of this machine, cut in two after every single rename.

use std::fs;
use std::path::{Path, PathBuf};

use node::Node;

use super::{Journal, JournalOptions, Places, Situation, look};
use crate::placement::{self, Placement};
use crate::unreached::node;

/// A data folder with old data and new data beside it, decided but not exchanged. A file says whose each entry is.
fn decided() -> (tempfile::TempDir, Node, Places, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let node = node("a@b", folder.path());
    let places = Places::of(&node);
    fill(folder.path(), "old", &["_dbs.couch", "_dbs.couch.compact.data", "shards"]);
    fs::write(folder.path().join("_nodes.couch"), "stays").unwrap();
    let mut journal = Journal::begin(
        "id".into(),
        ("archive".into(), 1),
        vec!["a@b".into()],
        "a@b".into(),
        JournalOptions::default(),
    );
    places.begin(&node, &journal).unwrap();
    assert_eq!(look(&node).unwrap().situation, Situation::Staging);
    fill(&places.new, "new", &["_dbs.couch", "shards", ".shards"]);
    places.staged(&node, &mut journal).unwrap();
    assert_eq!(look(&node).unwrap().situation, Situation::Staged);
    places.decide(&node, &mut journal).unwrap();
    assert_eq!(look(&node).unwrap().situation, Situation::Staged);
    (folder, node, places, journal)
}

fn fill(folder: &Path, whose: &str, names: &[&str]) {
    for name in names {
        if name.starts_with("_dbs") {
            fs::write(folder.join(name), whose).unwrap();
        } else {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("file"), whose).unwrap();
        }
    }
}

/// Whose the entries in place are.
fn in_place(data: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = ["_dbs.couch", "_dbs.couch.compact.data", "shards", ".shards"]
        .iter()
        .filter_map(|name| {
            let path = data.join(name);
            let path = if path.is_dir() { path.join("file") } else { path };
            Some(((*name).to_owned(), fs::read_to_string(path).ok()?))
        })
        .collect();
    found.sort();
    found
}

fn of(whose: &str, names: &[&str]) -> Vec<(String, String)> {
    let mut all: Vec<_> = names.iter().map(|name| ((*name).to_owned(), whose.to_owned())).collect();
    all.sort();
    all
}

fn old() -> Vec<(String, String)> {
    of("old", &["_dbs.couch", "_dbs.couch.compact.data", "shards"])
}

fn new() -> Vec<(String, String)> {
    of("new", &["_dbs.couch", "shards", ".shards"])
}

/// All renames of the exchange, in its order.
fn renames(places: &Places) -> Vec<(PathBuf, PathBuf)> {
    let rename = |from: &Path, to: &Path, name: &str| (from.join(name), to.join(name));
    let (data, aside) = (places.data.as_path(), places.folder.join("old"));
    ["_dbs.couch", "_dbs.couch.compact.data", "shards"]
        .map(|name| rename(data, &aside, name))
        .into_iter()
        .chain(["shards", ".shards", "_dbs.couch"].map(|name| rename(&places.new, data, name)))
        .collect()
}

#[test]
fn exchanged_and_back() {
    let (folder, node, places, mut journal) = decided();
    places.exchange(&node, &mut journal).unwrap();
    assert_eq!((look(&node).unwrap().situation, in_place(folder.path())), (Situation::Swapped, new()));
    places.backward(&node).unwrap();
    assert_eq!((look(&node).unwrap().situation, in_place(folder.path())), (Situation::Staged, old()));
    places.undone(&node).unwrap();
    places.remove(&node).unwrap();
    assert_eq!((look(&node).unwrap().situation, in_place(folder.path())), (Situation::Untouched, old()));
    assert_eq!(fs::read_to_string(folder.path().join("_nodes.couch")).unwrap(), "stays");
}

/// New names: the shard maps and the list of nodes change places, and nothing else; cut after any rename of a file.
#[test]
fn a_renaming_replaces_the_shard_maps_and_the_list_of_nodes_alone() {
    const NAMES: [&str; 2] = ["_dbs.couch", "_nodes.couch"];
    for (cut, forward) in (0..=4).flat_map(|cut| [(cut, true), (cut, false)]) {
        let folder = tempfile::tempdir().unwrap();
        let node = node("a@b", folder.path());
        let places = Places::of(&node);
        fill(folder.path(), "old", &["_dbs.couch", "shards", ".shards"]);
        fs::write(folder.path().join("_nodes.couch"), "old").unwrap();
        let renaming =
            super::Renaming { names: vec![("a@x".into(), "a@b".into())], ..super::Renaming::default() };
        let mut journal = Journal::begin_renaming("id".into(), renaming, vec!["a@b".into()], "a@b".into());
        places.begin(&node, &journal).unwrap();
        for name in NAMES {
            fs::write(places.new.join(name), "new").unwrap();
        }
        places.staged(&node, &mut journal).unwrap();
        places.decide(&node, &mut journal).unwrap();
        assert_eq!(journal.old, NAMES);
        let aside = NAMES.map(|name| (folder.path().join(name), places.old.join(name)));
        let into = NAMES.map(|name| (places.new.join(name), folder.path().join(name)));
        for (from, to) in aside.into_iter().chain(into.into_iter().rev()).take(cut) {
            fs::rename(from, to).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        if forward {
            places.forward(&node).unwrap();
            places.done(&node).unwrap();
        } else {
            places.backward(&node).unwrap();
            places.undone(&node).unwrap();
        }
        places.remove(&node).unwrap();
        let whose = if forward { "new" } else { "old" };
        assert_eq!(NAMES.map(read), [whose, whose], "{cut}");
        assert_eq!(["shards/file", ".shards/file"].map(read), ["old", "old"]);
        assert_eq!(look(&node).unwrap().situation, Situation::Untouched);
    }
}

#[test]
fn cut_after_any_rename_it_goes_on_and_back() {
    for cut in 0..=6 {
        for forward in [true, false] {
            let (folder, node, places, _) = decided();
            for (from, to) in renames(&places).into_iter().take(cut) {
                fs::rename(from, to).unwrap();
            }
            if forward {
                places.forward(&node).unwrap();
                assert_eq!(look(&node).unwrap().situation, Situation::Swapped, "{cut}");
                assert_eq!(in_place(folder.path()), new(), "{cut}");
                places.done(&node).unwrap();
                places.remove(&node).unwrap();
                assert_eq!(in_place(folder.path()), new(), "{cut}");
            } else {
                places.backward(&node).unwrap();
                assert!(look(&node).unwrap().old_in_place(), "{cut}");
                assert_eq!(in_place(folder.path()), old(), "{cut}");
            }
            // Again is the same.
            assert!(forward || places.backward(&node).is_ok());
        }
    }
}

#[test]
fn what_couchdb_makes_on_half_of_its_data_is_put_aside() {
    for forward in [true, false] {
        let (folder, node, places, _) = decided();
        for (from, to) in renames(&places).into_iter().take(3) {
            fs::rename(from, to).unwrap();
        }
        fill(folder.path(), "made", &["_dbs.couch", "shards"]);
        if forward {
            places.forward(&node).unwrap();
            assert_eq!(in_place(folder.path()), new());
        } else {
            places.backward(&node).unwrap();
            assert_eq!(in_place(folder.path()), old());
        }
    }
}

#[test]
fn what_changed_between_decision_and_stop_is_noticed() {
    let (folder, node, places, mut journal) = decided();
    fs::remove_file(folder.path().join("_dbs.couch.compact.data")).unwrap();
    fill(folder.path(), "old", &[".shards"]);
    assert_eq!(look(&node).unwrap().situation, Situation::Staged);
    places.exchange(&node, &mut journal).unwrap();
    assert_eq!(in_place(folder.path()), new());
    places.backward(&node).unwrap();
    assert_eq!(in_place(folder.path()), of("old", &["_dbs.couch", "shards", ".shards"]));
}

#[test]
fn nothing_is_moved_where_old_data_has_vanished() {
    for name in ["shards", "_dbs.couch"] {
        let (folder, node, places, mut journal) = decided();
        fs::rename(folder.path().join(name), folder.path().join("elsewhere")).unwrap();
        let refused = places.exchange(&node, &mut journal).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("nothing has been moved"), "{refused}");
        let state = look(&node).unwrap();
        assert!(state.in_old.is_empty() && !state.old_in_place(), "{state:?}");
        fs::rename(folder.path().join("elsewhere"), folder.path().join(name)).unwrap();
        places.exchange(&node, &mut journal).unwrap();
        assert_eq!(in_place(folder.path()), new());
    }
    // A compaction that was killed in its swap.
    let (folder, node, places, mut journal) = decided();
    fs::rename(folder.path().join("_dbs.couch"), folder.path().join("_dbs.couch.compact")).unwrap();
    places.exchange(&node, &mut journal).unwrap();
    assert_eq!(in_place(folder.path()), new());
}

#[test]
fn nothing_in_place_is_ever_replaced() {
    let (folder, node, places, mut journal) = decided();
    fs::write(places.folder.join("old/_dbs.couch"), "of somebody else").unwrap();
    assert!(places.exchange(&node, &mut journal).is_err());
    assert_eq!(fs::read_to_string(places.folder.join("old/_dbs.couch")).unwrap(), "of somebody else");
    assert_eq!(in_place(folder.path()), old());
}

#[test]
fn old_data_that_is_not_as_it_was_is_not_back() {
    let changes: [fn(&Path); 3] = [
        |aside| fs::write(aside.join("_dbs.couch"), "bad").unwrap(),
        |aside| fs::write(aside.join("shards/file"), "shorter or longer").unwrap(),
        |aside| fs::rename(aside.join("shards"), aside.join("elsewhere")).unwrap(),
    ];
    for change in changes {
        let (_folder, node, places, mut journal) = decided();
        places.exchange(&node, &mut journal).unwrap();
        change(&places.folder.join("old"));
        for _ in 0..2 {
            let refused = places.backward(&node).unwrap_err().to_string();
            assert!(refused.contains("is not as it was"), "{refused}");
            assert!(!look(&node).unwrap().old_in_place(), "{refused}");
        }
    }
}

#[test]
fn old_data_is_not_removed_with_what_is_left_of_a_roll_back() {
    let (_folder, node, places, _) = decided();
    places.undone(&node).unwrap();
    fs::write(places.folder.join("old/_dbs.couch"), "old").unwrap();
    let refused = places.remove(&node).unwrap_err().to_string();
    assert!(refused.contains("is still in"), "{refused}");
    assert!(places.folder.join("old/_dbs.couch").exists());
}

#[test]
fn a_journal_records_what_decides_which_nodes_get_copies() {
    let begin = |options: JournalOptions| {
        let nodes = vec!["a@b".to_owned()];
        let journal = Journal::begin("id".into(), ("archive".into(), 1), nodes, "a@b".into(), options);
        let text = journal.to_bytes();
        let read = Journal::parse(&text).unwrap();
        assert_eq!(read, journal);
        (serde_json::from_slice::<serde_json::Value>(&text).unwrap(), read.options.choices().placement)
    };
    let places = placement::Places::parse(&["any".into(), "a*=z1:1".into()]).unwrap();
    let chosen = Placement::chosen(places, &["a@b=z1".into()], true).unwrap();
    let (json, read) = begin(JournalOptions { placement: Some(chosen.clone()), ..JournalOptions::default() });
    assert_eq!((&json["version"], read), (&8.into(), chosen));
    // One that was written before there was such a thing.
    let (json, read) = begin(JournalOptions::default());
    assert_eq!(json["version"], 1);
    assert!(read.is_round_robin() && !Placement::default().is_round_robin());
}
