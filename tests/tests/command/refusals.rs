//! Mistakes, and what the command makes of them: every exit code of `docs/exit-codes.md`, messages that say what to do,
//! nothing left behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use couchcopy_tests::lab::binary;
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::run::{Targets, backup, expect, json, names, restore, run, source, text};

/// Fails unless the command ends with this code, says all of `words` and what to do. Both as text and as JSON.
fn refused(exit: i32, kind: &str, arguments: &[&str], words: &[&str]) -> Result<()> {
    let told = expect(exit, arguments)?;
    assert_eq!(told.stdout, "", "{arguments:?}");
    let error = json(exit, arguments)?;
    let error = error["error"].as_object().ok_or("no error")?;
    let keys: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(keys, ["exit_code", "kind", "code", "message", "causes", "remedy"], "{arguments:?}");
    let code = error["code"].as_str().ok_or("no code")?;
    assert!(code.starts_with("CC-") && told.stderr.contains(code), "{arguments:?}: {code}: {}", told.stderr);
    assert_eq!((&error["exit_code"], &error["kind"]), (&exit.into(), &kind.into()), "{arguments:?}");
    let remedy = error["remedy"].as_str().ok_or("no remedy")?;
    assert!(remedy.len() > 10, "{arguments:?}: {remedy}");
    let message = format!("{} {} {remedy}", error["message"], error["causes"]);
    // The text is broken into lines, so it is compared word by word.
    let flat = |text: &str| text.split([' ', '\n', '│', '"']).collect::<String>();
    for word in words {
        assert!(message.contains(word), "{arguments:?}: {word}: {message}");
        assert!(flat(&told.stderr).contains(&flat(word)), "{arguments:?}: {word}: {}", told.stderr);
    }
    assert!(flat(&told.stderr).contains(&flat(remedy)), "{arguments:?}: {}", told.stderr);
    // Options can be copied.
    for option in remedy.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(told.stderr.contains(option), "{arguments:?}: {option}: {}", told.stderr);
    }
    Ok(())
}

/// A good archive of one node beside its data.
struct Archive {
    fixture: fixtures::Cluster,
    path: String,
}

impl Archive {
    fn make() -> Result<Self> {
        let fixture = fixtures::single_node()?;
        let archive = fixture.dir().join("backup.tar.gz");
        backup(0, &fixture.folders(), &archive)?;
        Ok(Self { path: text(&archive).to_owned(), fixture })
    }

    fn beside(&self, name: &str) -> String {
        text(&self.fixture.dir().join(name)).to_owned()
    }
}

#[test]
fn targets_that_a_restore_refuses() -> Result<()> {
    let archive = Archive::make()?;
    let (a, b, full) = (archive.beside("a"), archive.beside("b"), archive.beside("full"));
    fs::create_dir(&full)?;
    fs::write(Path::new(&full).join("precious"), b"!")?;
    let try_targets = |targets: &[&str], words: &[&str]| {
        let arguments = [&["restore", "--offline", &archive.path], targets].concat();
        refused(5, "refused", &arguments, words)
    };
    try_targets(&[&format!("{full},n@h")], &["is not empty", "precious", "new or empty"])?;
    assert_eq!(fs::read(Path::new(&full).join("precious"))?, b"!");
    assert_eq!(names(Path::new(&full))?, ["precious"]);

    let twice = ["gives a node or a directory twice", "once"];
    try_targets(&[&format!("{a},n@h"), &format!("{b},n@h")], &twice)?;
    try_targets(&[&format!("{a},n@h"), &format!("{a},m@h")], &twice)?;
    fs::create_dir(&b)?;
    try_targets(&[&format!("{b},n@h"), &format!("{b}/../b/.,m@h")], &twice)?;

    for wrong in ["nohost@", "@nouser", "a b@h", "a@h/x", "ä@h"] {
        try_targets(&[&format!("{a},{wrong}")], &["NAME", "couchdb@127.0.0.1"])?;
    }
    try_targets(&[&format!("{a},couchdb")], &["DIR,NODENAME"])?;
    try_targets(&[&a], &["DIR,NODENAME"])?;
    assert!(!Path::new(&a).exists());
    assert_eq!(names(Path::new(&b))?.len(), 0);
    Ok(())
}

#[test]
fn an_archive_that_exists_is_replaced_only_when_asked_and_whole() -> Result<()> {
    let archive = Archive::make()?;
    let node = source(&archive.fixture.nodes[0].data);
    let before = fs::read(&archive.path)?;
    refused(5, "refused", &["backup", &node, &archive.path], &["exists already", "--overwrite"])?;
    assert_eq!(fs::read(&archive.path)?, before);

    // A new one that fails: the old one stays, and nothing else.
    let nowhere = format!("{node},other@host");
    let lost = ["backup", "--overwrite", &nowhere, &archive.path];
    refused(6, "data", &lost, &["couchdb41@127.0.0.41"])?;
    let no_folder = archive.beside("nothing");
    refused(7, "system", &["backup", "--overwrite", &format!("localhost,{no_folder}"), &archive.path], &[])?;
    assert_eq!(fs::read(&archive.path)?, before);

    expect(0, &["backup", "--overwrite", &node, &archive.path])?;
    expect(0, &["verify", &archive.path])?;
    let left = names(archive.fixture.dir())?;
    assert_eq!(left, ["backup.tar.gz", "data"]);

    // What is no file is never replaced.
    let folder = archive.beside("folder");
    fs::create_dir(&folder)?;
    refused(5, "refused", &["backup", "--overwrite", &node, &folder], &["is a directory", "--repo"])?;
    Ok(())
}

#[test]
fn a_folder_may_be_named_from_the_current_one_unless_a_node_has_to_find_it() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let mut here = Command::new(binary()?);
    here.current_dir(fixture.dir()).args(["backup", "localhost,data", "backup.tar.gz"]);
    couchcopy_tests::lab::run(&mut here)?.success()?;
    // Options may stand anywhere, also between the nodes and the archive.
    let mut again = Command::new(binary()?);
    again.current_dir(fixture.dir()).args([
        "backup",
        "localhost,data",
        "--level",
        "1",
        "--overwrite",
        "backup.tar.gz",
    ]);
    couchcopy_tests::lab::run(&mut again)?.success()?;
    let archive = text(&fixture.dir().join("backup.tar.gz")).to_owned();
    expect(0, &["verify", &archive])?;

    let words = ["data is not an absolute path", "absolute path of the data directory"];
    let new = format!("{archive}.new");
    refused(5, "refused", &["backup", "db1.example.com,data", &new], &words)?;
    refused(5, "refused", &["backup", "localhost,data", "--via", "sudo", &new], &words)?;
    refused(5, "refused", &["restore", "-y", &archive, "a:b@localhost,data"], &words)?;
    Ok(())
}

#[test]
fn nodes_that_a_backup_refuses() -> Result<()> {
    let archive = Archive::make()?;
    let (new, empty) = (archive.beside("new.tar.gz"), archive.beside("empty"));
    fs::create_dir(&empty)?;
    let node = source(&archive.fixture.nodes[0].data);
    let refuse = |nodes: &[&str], words: &[&str]| {
        refused(5, "refused", &[&["backup"], nodes, &[&new]].concat(), words)
    };
    refuse(&[&format!("localhost,{empty}")], &["not the data directory", "database_dir"])?;
    refuse(&[&node, &node], &["both belong to node couchdb41@127.0.0.41", "once"])?;
    refuse(&[&empty], &["HOST,DATA_DIR"])?;
    refuse(&["example.com"], &["example.com", "data directory"])?;
    let credentials = run(&["backup", "admin:secret@couchcopy-test.invalid,/data", &new])?;
    assert_eq!(credentials.code, Some(9), "{credentials:?}");
    assert!(!format!("{credentials:?}").contains("secret"));
    assert!(!Path::new(&new).exists());
    Ok(())
}

#[test]
fn half_a_cluster_is_refused_and_the_other_half_named() -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let archive = cluster.dir().join("half.tar.gz");
    for (i, j) in [(0, 1), (1, 2), (2, 3), (0, 3)] {
        let given = [&cluster.nodes[i], &cluster.nodes[j]];
        let sources = given.map(|node| source(&node.data));
        let arguments = ["backup", &sources[0], &sources[1], text(&archive)];
        let absent: Vec<&str> = cluster
            .nodes
            .iter()
            .filter(|node| !given.iter().any(|given| given.name == node.name))
            .map(|node| node.name.as_str())
            .collect();
        refused(6, "data", &arguments, &[&absent[..], &["are on none of the given nodes"]].concat())?;
        assert!(!archive.exists());
    }
    assert_eq!(names(cluster.dir())?.len(), 4);
    Ok(())
}

#[test]
fn wrong_arguments() -> Result<()> {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["backup"],
        &["backup", "localhost,/x"],
        &["backup", "--cluster", "nodes.toml"],
        &["backup", "--level", "13", "localhost,/x", "y"],
        &["restore", "--offline", "--resume", "x", "y,n@h"],
        &["restore", "--offline", "--n", "0", "x", "y,n@h"],
        &["verify"],
        &["verify", "-q", "-v", "x"],
        &["verify", "--threads", "many", "x"],
    ] {
        let ended = expect(2, arguments)?;
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "");
    }
    for (arguments, advice) in [
        (&["restore", "x", "y,n@h"][..], "absolute"),
        (&["restore", "x"], "no node is named"),
        (&["restore", "--offline", "x"], "at least one target"),
    ] {
        let ended = expect(5, arguments)?;
        assert!(ended.stderr.contains(advice), "{arguments:?}: {ended:?}");
    }
    let error = &json(2, &["backup", "--level", "13", "localhost,/x", "y"])?["error"];
    assert_eq!((&error["exit_code"], &error["kind"]), (&2.into(), &"arguments".into()), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("0..=12")), "{error}");
    assert!(error["remedy"].as_str().is_some_and(|text| text.contains("--help")), "{error}");
    for command in ["backup", "restore", "verify", "info", "ls", "cat"] {
        let help = expect(0, &[command, "--help"])?;
        assert!(help.stdout.contains("Usage: couchcopy"), "{help:?}");
    }
    assert!(expect(0, &["--help"])?.stdout.contains("Exit codes"));
    assert!(expect(0, &["--version"])?.stdout.starts_with("couchcopy "));
    Ok(())
}

#[test]
fn what_the_system_refuses() -> Result<()> {
    let archive = Archive::make()?;
    let node = source(&archive.fixture.nodes[0].data);
    let missing = archive.beside("missing");
    let target = format!("{},n@h", archive.beside("target"));
    refused(7, "system", &["backup", &node, &format!("{missing}/x.tar.gz")], &["missing", "Check the path"])?;
    for command in [
        &["verify", &missing][..],
        &["info", &missing],
        &["ls", &missing],
        &["cat", &missing, "metadata.yaml"],
        &["restore", "--offline", &missing, &target],
    ] {
        refused(7, "system", command, &["missing", "Check the path"])?;
    }
    assert!(!Path::new(&archive.beside("target")).exists());
    // A path through a file.
    let through = format!("{}/target,n@h", archive.path);
    let ended = expect(7, &["restore", "--offline", &archive.path, &through])?;
    assert!(ended.stderr.contains("cannot"), "{ended:?}");
    Ok(())
}

#[test]
fn what_is_no_archive() -> Result<()> {
    let archive = Archive::make()?;
    let bytes = fs::read(&archive.path)?;
    let broken = archive.beside("broken.tar.gz");
    let target = format!("{},n@h", archive.beside("target"));
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 3] ^= 1;
    for content in [&b""[..], b"hello", &[0; 5000], &bytes[..bytes.len() / 2], &flipped] {
        fs::write(&broken, content)?;
        refused(4, "archive", &["verify", &broken], &["another copy"])?;
        // A restore reads less than a verification, but all of the shards.
        refused(4, "archive", &["restore", "--offline", &broken, &target], &["another copy"])?;
        assert!(!Path::new(&archive.beside("target")).join("_dbs.couch").exists());
        fs::remove_dir_all(archive.beside("target")).or_else(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(e),
        })?;
    }
    fs::write(&broken, b"")?;
    for command in [&["info", &broken][..], &["ls", &broken], &["cat", &broken, "metadata.yaml"]] {
        refused(4, "archive", command, &["another copy"])?;
    }
    Ok(())
}

#[test]
fn other_archives_that_are_refused() -> Result<()> {
    let target = Targets::new(1)?;
    // Four data folders in one.
    let four = fixtures::path("four-nodes-n2.tar.gz");
    for command in ["verify", "info", "ls"] {
        refused(5, "refused", &[command, text(&four)], &["several data directories", "couchcopy backup"])?;
    }
    let error = restore(5, &four, &target.nodes, &[])?;
    assert!(error["error"]["remedy"].as_str().is_some_and(|text| text.contains("couchcopy backup")));
    // No data folder at all.
    let none = target.beside("none.tar.gz");
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    tar.append_data(&mut header, "readme.txt", &b"hi"[..])?;
    fs::write(&none, tar.into_inner()?.finish()?)?;
    refused(6, "data", &["verify", text(&none)], &["_dbs.couch", "right file"])?;
    assert_eq!(restore(6, &none, &target.nodes, &[])?["error"]["kind"], "data");
    assert!(!target.nodes[0].data.exists());
    Ok(())
}

#[test]
fn files_and_databases_that_are_not_there() -> Result<()> {
    let archive = Archive::make()?;
    refused(5, "refused", &["ls", &archive.path, "nosuch"], &["nosuch", "couchcopy ls"])?;
    let ended = run(&["cat", &archive.path, "data/nosuch"])?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(expect(0, &["cat", &archive.path, "metadata.yaml"])?.stdout.contains("nodes-names"));
    Ok(())
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn results_as_json_and_as_text() -> Result<()> {
    let archive = Archive::make()?;
    let node = source(&archive.fixture.nodes[0].data);
    let again = archive.beside("again.tar.gz");
    let target = archive.beside("target");
    let backup_keys = [
        "nodes",
        "date",
        "databases",
        "shards",
        "views",
        "documents",
        "deleted_documents",
        "deleted_meanwhile",
        "created_meanwhile",
        "views_left_out",
        "problems",
        "content_bytes",
        "archive_bytes",
    ];
    assert_eq!(keys(&json(0, &["backup", &node, &again])?), backup_keys);
    let restored = json(0, &["restore", "--offline", &again, &format!("{target},n@h")])?;
    let restore_keys = [
        "nodes",
        "databases",
        "shard_files",
        "view_files",
        "bytes",
        "left_out",
        "views_left_out",
        "not_chosen",
        "renamed",
        "reshaped",
        "files_rewritten",
        "placed",
    ];
    assert_eq!(keys(&restored), restore_keys);
    let verified = json(0, &["verify", &again])?;
    for key in ["manifest", "databases", "documents", "attachments", "problems", "unfit_views", "orphans"] {
        assert!(!verified[key].is_null(), "{key}");
    }
    let info = json(0, &["info", &again])?;
    assert_eq!(info["nodes"], serde_json::json!(["couchdb41@127.0.0.41"]));
    assert_eq!(info["databases"], verified["databases"]);
    let listed = json(0, &["ls", &again])?;
    assert_eq!(listed.as_array().map(Vec::len), Some(verified["databases"].as_u64().unwrap_or(0) as usize));
    let name = "name_with-all$(chars)+and/slash";
    let shards = json(0, &["ls", &again, name, "--shards"])?;
    assert_eq!((&shards["name"], shards["shards"].as_array().map(Vec::len)), (&name.into(), Some(2)));
    let file = shards["shards"][0]["file"].as_str().ok_or("no file")?;
    let ended = std::process::Command::new(binary()?).args(["cat", &again, file]).output()?;
    let below = file.strip_prefix("data/").ok_or("no data/")?;
    assert_eq!(ended.stdout, fs::read(archive.fixture.nodes[0].data.join(below))?);

    // As text, nothing goes to standard error where it is no terminal; -q prints no summary; -v tells times.
    let quiet_target = archive.beside("quiet");
    let (text_target, quiet_target) =
        (format!("{},n@h", archive.beside("text")), format!("{quiet_target},n@h"));
    let overwrite = |more| ["backup", "--overwrite", &node, &again, more];
    for (arguments, printed) in [
        (&overwrite("--level=1")[..], "databases"),
        (&["restore", "--offline", &again, &text_target], "restored to n@h"),
        (&["verify", &again], "The archive is intact."),
        (&["info", &again], "couchdb41@127.0.0.41"),
        (&["ls", &again], "revslimit"),
        (&["ls", &again, "plain"], "doc-00000"),
        (&["ls", &again, "plain", "--shards"], "00000000-7fffffff"),
    ] {
        let ended = expect(0, arguments)?;
        assert!(ended.stdout.contains(printed), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
    for arguments in [
        &overwrite("-q")[..],
        &["restore", "-q", "--offline", &again, &quiet_target],
        &["verify", "-q", &again],
    ] {
        let ended = expect(0, arguments)?;
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{arguments:?}");
    }
    // What was asked for is printed even so.
    for (arguments, printed) in [
        (&["verify", "-q", "--json", &again][..], "\"problems\""),
        (&["info", "-q", &again], "couchdb41@127.0.0.41"),
        (&["ls", "-q", &again], "revslimit"),
        (&["cat", "-q", &again, "metadata.yaml"], "nodes-names"),
    ] {
        let ended = expect(0, arguments)?;
        assert!(ended.stdout.contains(printed), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
    let told = expect(0, &overwrite("-v"))?.stderr;
    assert!(told.contains("shards saved in "), "{told}");
    // Errors are told even so.
    let error = expect(5, &["backup", "-q", &node, &again])?;
    assert!(error.stderr.contains("exists already"), "{error:?}");
    Ok(())
}

/// Somebody reads the first line only, as `head -1` does, or nothing.
#[test]
fn nobody_reads_what_is_printed() -> Result<()> {
    let archive = Archive::make()?;
    let shard = "data/shards/00000000-7fffffff/plain.1795355232.couch";
    for arguments in [
        &["ls", &archive.path][..],
        &["info", &archive.path],
        &["verify", "--json", &archive.path],
        &["cat", &archive.path, shard],
        &["verify", "--json", "/nonexistent"],
        &["--help"],
    ] {
        let mut child = Command::new(binary()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(child.stdout.take());
        let ended = child.wait_with_output()?;
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(!stderr.contains("panicked") && ended.status.code() != Some(101), "{arguments:?}: {stderr}");
        let code = ended.status.code();
        assert!(matches!(code, Some(0 | 7)), "{arguments:?}: {:?} {stderr}", ended.status);
    }
    Ok(())
}
