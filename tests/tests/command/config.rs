//! The nodes' configuration files in an archive: only where they are asked for, for their owner only, their secrets named and
//! never told, and never restored.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use couchcopy_tests::{Result, fixtures};

use super::run::{Targets, expect, json, names, run, source, text, unpack};

const LOCAL: &str = "[admins]\nanna = -pbkdf2-very-secret\n[chttpd_auth]\nsecret = very-secret-too\n\
                     [replicator]\n; password = very-secret-once\n";
const ARGUMENTS: &str = "-name couchdb41@127.0.0.41\n-setcookie very-secret-cookie\n";

/// Writes configuration into a folder.
fn configure(etc: &Path) -> Result<()> {
    fs::create_dir_all(etc.join("local.d"))?;
    fs::create_dir_all(etc.join("default.d"))?;
    fs::write(etc.join("default.ini"), "[couchdb]\n[admins]\n;admin = mysecretpassword\n")?;
    fs::write(etc.join("local.ini"), LOCAL)?;
    fs::write(etc.join("vm.args"), ARGUMENTS)?;
    fs::write(etc.join("default.d/10-more.ini"), "[log]\nlevel = info\n")?;
    fs::write(etc.join("local.d/README"), "nothing")?;
    Ok(())
}

#[test]
fn configuration_is_saved_marked_and_not_restored() -> Result<()> {
    let single = fixtures::single_node()?;
    let etc = single.dir().join("etc");
    configure(&etc)?;
    // Beside CouchDB's files may lie anything.
    fs::write(etc.join("odbc.ini"), "[x]\npassword = very-secret\n")?;
    let (plain, archive) = (single.dir().join("plain.tar.gz"), single.dir().join("config.tar.gz"));
    let node = source(&single.nodes[0].data);
    expect(0, &["backup", &node, text(&plain)])?;
    assert!(names(unpack(&plain)?.path())?.iter().all(|name| !name.to_string_lossy().starts_with("config")));

    let ended = expect(0, &["backup", "--with-config", &node, text(&archive)])?;
    assert!(!format!("{ended:?}").contains("very-secret"), "{ended:?}");
    assert!(
        ended.stdout.contains("4 configuration files of couchdb41@127.0.0.41, with SECRETS"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("(secret: [admins] anna, [chttpd_auth] secret, [replicator] password"));
    assert!(ended.stdout.contains("(secret: -setcookie)"), "{ended:?}");
    assert_eq!(fs::metadata(&archive)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&["verify", text(&archive)])?.code, Some(0));

    let info = json(0, &["info", text(&archive)])?;
    assert_eq!(info["ignored_files"], 0);
    let files = info["config"][0]["files"].as_array().ok_or("no configuration")?;
    let found = |ending: &str| {
        files.iter().find(|file| file["path"].as_str().is_some_and(|path| path.ends_with(ending)))
    };
    let local = found("/etc/local.ini").ok_or("no local.ini")?;
    let entry = local["entry"].as_str().ok_or("no name")?;
    assert_eq!(expect(0, &["cat", text(&archive), entry])?.stdout, LOCAL);
    assert!(found("/default.d/10-more.ini").is_some_and(|file| file["secrets"] == serde_json::json!([])));
    let told = expect(0, &["info", text(&archive)])?.stdout;
    assert!(told.contains(entry) && !told.contains("very-secret"), "{told}");

    // Whoever unpacks it gets files that nobody else can read, and nothing in the data folder.
    let unpacked = unpack(&archive)?;
    let mode = fs::metadata(unpacked.path().join(entry))?.permissions().mode();
    assert_eq!(mode & 0o077, 0);
    assert_eq!(fs::read_to_string(unpacked.path().join(entry))?, LOCAL);
    let targets = Targets::new(1)?;
    let target = format!("{},{}", targets.nodes[0].data.display(), targets.nodes[0].name);
    let ended = expect(0, &["restore", "--offline", text(&archive), &target])?;
    assert!(ended.stderr.contains("never restored"), "{ended:?}");
    for path in fixtures::files_below(&targets.nodes[0].data)? {
        assert!(
            !fs::read(targets.nodes[0].data.join(&path))?.windows(11).any(|w| w == b"very-secret"),
            "{path}"
        );
    }

    // Through a pipe, or packed anew, it is read all the same.
    let copied = single.dir().join("copied.tar");
    let script = format!("gzip -dc {} >{}", archive.display(), copied.display());
    couchcopy_tests::lab::run(std::process::Command::new("sh").args(["-c", &script]))?.success()?;
    let again = json(0, &["info", text(&copied)])?;
    assert_eq!((&again["config"], &again["ignored_files"]), (&info["config"], &info["ignored_files"]));
    assert_eq!(expect(0, &["cat", text(&copied), entry])?.stdout, LOCAL);
    Ok(())
}

#[test]
fn folders_are_looked_for_and_named() -> Result<()> {
    let single = fixtures::single_node()?;
    let archive = single.dir().join("config.tar.gz");
    let node = source(&single.nodes[0].data);
    let (one, two) = (single.dir().join("one"), single.dir().join("two/local.d"));
    configure(&one)?;
    fs::create_dir_all(&two)?;
    fs::write(two.join("any.ini"), "[admins]\nbob = very-secret\n")?;
    let missing = single.dir().join("missing");
    let arguments = [
        "backup",
        "--with-config",
        "--config-dir",
        text(&one),
        "--config-dir",
        text(&two),
        "--config-dir",
        text(&missing),
        &node,
        text(&archive),
    ];
    let told = json(0, &arguments)?;
    let config = &told["config"][0];
    let paths: Vec<&str> =
        config["files"].as_array().into_iter().flatten().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
    assert!(paths.contains(&text(&two.join("any.ini"))));
    let not_found = config["not_found"].to_string();
    assert!(not_found.contains(text(&missing)), "{not_found}");

    // A node's own folders in the cluster file go before those of all.
    let cluster = single.dir().join("cluster.toml");
    let data = single.nodes[0].data.display();
    fs::write(
        &cluster,
        format!("[[node]]\nhost = \"localhost\"\ndata = \"{data}\"\nconfig = \"{}\"\n", two.display()),
    )?;
    let told = json(
        0,
        &[
            "backup",
            "--overwrite",
            "--with-config",
            "--config-dir",
            text(&one),
            "--cluster",
            text(&cluster),
            text(&archive),
        ],
    )?;
    assert_eq!(told["config"][0]["files"].as_array().map(Vec::len), Some(1), "{told}");

    // Nothing at all is an error, and nothing is made.
    let other = single.dir().join("other.tar.gz");
    let ended = expect(5, &["backup", "--with-config", "--config-dir", text(&missing), &node, text(&other)])?;
    assert!(ended.stderr.contains("--with-config") && ended.stderr.contains("missing"), "{ended:?}");
    assert!(!other.exists());
    expect(2, &["backup", "--config-dir", text(&one), &node, text(&other)])?;
    Ok(())
}
