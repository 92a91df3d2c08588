//! Some of an archive's databases, and some under other names.

use std::path::{Path, PathBuf};

use couchcopy_tests::{Result, fixtures};
use serde_json::{Map, Value, json};

use super::checks::{Asked, check};
use super::run::{Targets, backup, expect, json, names, restore, source, text, unpack};

/// New names and who gets one.
const RENAMED: [(&str, &str); 3] = [
    ("views", "new/views+$(2)"),
    ("name_with-all$(chars)+and/slash", "plain-name"),
    // One takes the name of another that is left out.
    ("conflicts", "plain"),
];

/// What becomes of a database under [`ARGUMENTS`].
fn name(db: &str) -> Option<&str> {
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == db) {
        return Some(new);
    }
    let wanted = ["_users", "atts", "deleted", "empty", "locals", "revslimit", "secure"];
    wanted.contains(&db).then_some(db)
}

/// What the command is told.
const ARGUMENTS: [&str; 14] = [
    "--only=*s",
    "--only=?e*",
    "--only=*/*",
    "--only=empty",
    "--only=_users",
    "--only=revslimit",
    "--except=p*",
    "--except=q*",
    "--except=_replicator",
    "--rename=views=new/views+$(2)",
    "--rename",
    "name_with-all$(chars)+and/slash=plain-name",
    "--rename",
    "conflicts=plain",
];

/// What HTTP said of the databases that are wanted, under their new names.
fn expected(oracle: &Value) -> Result<Value> {
    let databases = oracle.as_object().ok_or("no databases")?;
    let wanted = databases.iter().filter_map(|(db, content)| Some((name(db)?.to_owned(), content.clone())));
    Ok(wanted.collect::<Map<_, _>>().into())
}

fn check_restores(archive: &Path, oracle: &str) -> Result<()> {
    let unpacked = unpack(archive)?;
    let archived = unpacked.path().join("data");
    let oracle = fixtures::oracle(oracle)?;
    let expected = expected(&oracle)?;
    let wanted = expected.as_object().map_or(0, Map::len);
    assert_eq!(wanted, 10);
    for (nodes, copies, fresh_uuids) in [(1, None, false), (2, Some(2), false), (3, Some(2), true)] {
        let targets = Targets::new(nodes)?;
        let number = copies.map(|n: usize| format!("--n={n}"));
        let mut more = ARGUMENTS.to_vec();
        more.extend(number.as_deref());
        if fresh_uuids {
            more.push("--fresh-uuids");
        }
        let result = restore(0, archive, &targets.nodes, &more)?;
        assert_eq!(result["databases"], wanted);
        assert_eq!(result["not_chosen"], oracle.as_object().map_or(0, Map::len) - wanted);
        let renamed: Vec<Value> = RENAMED.iter().map(|(from, to)| json!({"from": from, "to": to})).collect();
        assert_eq!(result["renamed"], Value::from(renamed));
        check(Asked { archived: &archived, copies, fresh_uuids, oracle: &expected, name }, &targets.nodes)?;
    }
    Ok(())
}

fn save(cluster: &fixtures::Cluster) -> Result<PathBuf> {
    let archive = cluster.dir().join("backup.tar.gz");
    backup(0, &cluster.folders(), &archive)?;
    Ok(archive)
}

#[test]
fn some_databases_and_some_under_other_names() -> Result<()> {
    let (one, four) = (fixtures::single_node()?, fixtures::four_nodes()?);
    check_restores(&save(&one)?, "single-node")?;
    check_restores(&save(&four)?, "four-nodes-n2")
}

#[test]
fn out_of_archives_of_other_programs() -> Result<()> {
    for archive in ["couchcopy-0.2.4.tar.gz", "single-node.tar.gz"] {
        check_restores(&fixtures::path(archive), "single-node")?;
    }
    Ok(())
}

/// Under the old node's name and the old database's name a map stays what it was; under another one only its id is new.
#[test]
fn a_selection_that_changes_nothing() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let archive = save(&fixture)?;
    let mut targets = Targets::new(1)?;
    targets.nodes[0].name.clone_from(&fixture.nodes[0].name);
    restore(0, &archive, &targets.nodes, &["--only=*", "--rename=q8=q8"])?;
    let maps = couchcopy_tests::content::shard_maps;
    assert_eq!(maps(&targets.nodes[0].data)?, maps(&fixture.nodes[0].data)?);
    let oracle = fixtures::oracle("single-node")?;
    let read = couchcopy_tests::content::read_cluster(&targets.folders())?;
    assert_eq!(couchcopy_tests::compare::compare(&oracle, &read), [""; 0]);
    Ok(())
}

#[test]
fn selections_that_are_refused() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let archive = save(&fixture)?;
    let targets = Targets::new(1)?;
    for (arguments, words) in [
        (&["--only=nosuch*"][..], &["--only nosuch* matches no database", "couchcopy ls"][..]),
        (&["--except=nosuch"], &["--except nosuch matches no database"]),
        (&["--only=plain", "--except=*"], &["none of the 16 databases"]),
        (&["--rename=nosuch=a"], &["cannot rename nosuch to a: nosuch is not in the archive"]),
        (&["--only=q8", "--rename=plain=a"], &["plain is not selected"]),
        (&["--rename=plain=q8"], &["plain and q8 would both be named q8"]),
        (&["--rename=plain=Plain"], &["\"Plain\" is not a valid name", "begins with a letter"]),
        (&["--rename=plain=_users2"], &["is not a valid name"]),
        (&["--rename=_users=users"], &["_users is a system database", "--except"]),
        (&["--rename=plain=_replicator"], &["_replicator is a system database"]),
        (&["--rename=plain"], &["OLD=NEW"]),
    ] {
        let error = restore(5, &archive, &targets.nodes, arguments)?;
        let told = error["error"].to_string();
        for word in words {
            assert!(told.contains(&word.replace('"', "\\\"")), "{arguments:?}: {word}: {told}");
        }
        assert!(!targets.nodes[0].data.exists(), "{arguments:?}");
    }
    let archive = text(&archive);
    for resumed in
        [&["restore", "--resume", "--only=a", archive][..], &["restore", "--roll-back", "--rename=a=b"]]
    {
        expect(2, resumed)?;
    }
    assert_eq!(names(fixture.dir())?, ["backup.tar.gz", "data"]);
    Ok(())
}

/// A damaged database that nobody asked for does not matter.
#[test]
fn damage_elsewhere_does_not_hinder() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let shards = fixtures::files_below(&fixture.nodes[0].data)?;
    let shard =
        shards.iter().find(|path| path.starts_with("shards") && path.contains("/atts.")).ok_or("none")?;
    std::fs::write(fixture.nodes[0].data.join(shard), "")?;
    let archive = fixture.dir().join("backup.tar.gz");
    backup(3, &fixture.folders(), &archive)?;
    let targets = Targets::new(1)?;
    restore(6, &archive, &targets.nodes, &["--only=a*"])?;
    let result = restore(0, &archive, &targets.nodes, &["--except=atts"])?;
    assert_eq!((&result["databases"], &result["not_chosen"]), (&json!(15), &json!(1)));
    let mut oracle = fixtures::oracle("single-node")?;
    oracle.as_object_mut().ok_or("no databases")?.shift_remove("atts");
    let read = couchcopy_tests::content::read_cluster(&targets.folders())?;
    assert_eq!(couchcopy_tests::compare::compare(&oracle, &read), [""; 0]);
    Ok(())
}

/// What a backup with these options holds is what was chosen, and nothing else is reported as missing.
fn check_backup(
    cluster: &fixtures::Cluster,
    oracle: &str,
    options: &[&str],
    takes: fn(&str) -> bool,
) -> Result<()> {
    let archive = cluster.dir().join("some.tar.gz");
    let sources: Vec<String> = cluster.folders().iter().map(|folder| source(folder)).collect();
    let mut arguments = vec!["backup", "--overwrite"];
    arguments.extend(options);
    arguments.extend(sources.iter().map(String::as_str));
    arguments.push(text(&archive));
    let told = json(0, &arguments)?;
    let oracle = fixtures::oracle(oracle)?;
    let mut expected = oracle.as_object().cloned().ok_or("no databases")?;
    expected.retain(|name, _| takes(name));
    let others = oracle.as_object().map_or(0, Map::len) - expected.len();
    assert_eq!((&told["databases"], &told["not_chosen"]), (&json!(expected.len()), &json!(others)), "{told}");
    assert_eq!(told["left_out"], Value::Null, "{told}");
    expect(0, &["verify", text(&archive)])?;
    let info = json(0, &["info", text(&archive)])?;
    assert_eq!((&info["databases"], &info["not_chosen"]), (&json!(expected.len()), &json!(others)), "{info}");
    assert_eq!(info["chosen"], told["chosen"]);
    let listed = json(0, &["ls", text(&archive)])?;
    let listed = listed.as_array().or(listed["databases"].as_array()).ok_or("no list")?;
    assert_eq!(listed.len(), expected.len(), "{listed:?}");
    let targets = Targets::new(2)?;
    restore(0, &archive, &targets.nodes, &[])?;
    let read = couchcopy_tests::content::read_cluster(&targets.folders())?;
    assert_eq!(couchcopy_tests::compare::compare(&expected.into(), &read), [""; 0]);
    Ok(())
}

#[test]
fn a_backup_of_some_databases() -> Result<()> {
    let (one, four) = (fixtures::single_node()?, fixtures::four_nodes()?);
    for (cluster, oracle) in [(&one, "single-node"), (&four, "four-nodes-n2")] {
        check_backup(cluster, oracle, &["--only=p*", "--only=_users"], |name| {
            name.starts_with('p') || name == "_users"
        })?;
        check_backup(cluster, oracle, &["--except=_*", "--except=views"], |name| {
            !name.starts_with('_') && name != "views"
        })?;
    }
    let info = expect(0, &["info", text(&one.dir().join("some.tar.gz"))])?.stdout;
    assert!(
        info.contains("made with --except _* --except views; 3 other databases were not saved"),
        "{info}"
    );
    Ok(())
}

#[test]
fn a_choice_that_saves_nothing_is_refused() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let (from, archive) = (source(&fixture.nodes[0].data), fixture.dir().join("some.tar.gz"));
    for (options, words) in [
        (&["--only=nosuch"][..], "--only nosuch matches no database of the nodes"),
        (&["--only=plain", "--except=p*"], "none of the 16 databases of the nodes is chosen"),
        (&["--only="], "an empty pattern matches no database"),
    ] {
        let refused = expect(5, &[&["backup"], options, &[&from, text(&archive)]].concat())?;
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    let warned = expect(0, &["backup", "--except=nosuch", &from, text(&archive)])?;
    assert!(warned.stderr.contains("--except nosuch matches no database"), "{}", warned.stderr);
    assert_eq!(names(fixture.dir())?, ["data", "some.tar.gz"]);
    Ok(())
}
