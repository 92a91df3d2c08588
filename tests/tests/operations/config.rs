//! The configuration file: commands need no arguments, and mistakes have their lines.

use couchcopy_tests::Result;

use crate::site::{IDENTITY, RECIPIENT, Site, USUAL};

#[test]
fn commands_need_no_arguments() -> Result<()> {
    let site = Site::usual("keep = { last = 2 }\n")?;
    let couchcopy = &site.couchcopy;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let result = couchcopy.json(&["backup"])?;
        ids.push(result["in_repository"]["id"].as_str().ok_or("no id")?.to_owned());
    }
    // The rules of the configuration.
    let list = couchcopy.json(&["repo", "list"])?;
    let listed: Vec<&str> =
        list["backups"].as_array().ok_or("no list")?.iter().filter_map(|b| b["id"].as_str()).collect();
    assert_eq!(listed, &ids[1..]);
    couchcopy.expect(0, &["repo", "check"])?;
    assert_eq!(couchcopy.json(&["repo", "prune"])?["dry_run"], false);
    assert_eq!(couchcopy.json(&["repo", "expire", "--dry-run"])?["removed"], serde_json::json!([]));
    let verified = couchcopy.json(&["verify"])?;
    assert_eq!(verified, couchcopy.json(&["verify", "::latest"])?);
    // A backup in the repository of the configuration, wherever an archive is named.
    let databases = couchcopy.json(&["ls", "::latest"])?;
    assert_eq!(databases, couchcopy.json(&["ls", &format!("::{}", ids[1])])?);
    assert!(!databases.as_array().ok_or("no list")?.is_empty());
    couchcopy.expect(0, &["doctor", "--pause", "0"])?;
    Ok(())
}

#[test]
fn keys_belong_to_the_repository() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let keys = format!("recipients = ['{RECIPIENT}']\nhost_key = 'host.key'\n");
    let site = Site::usual(&keys)?;
    assert!(site.path("config/couchcopy/host.key").is_file());
    site.couchcopy.expect(0, &["backup"])?;
    let refused = site.couchcopy.run(&["verify"])?;
    assert!(refused.code != Some(0) && refused.stderr.contains("CC-"), "{refused:?}");
    let identity = site.path("config/couchcopy/offline.txt");
    std::fs::write(&identity, IDENTITY)?;
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600))?;
    site.configure(&format!("{USUAL}{keys}identity = ['offline.txt']\n"))?;
    site.couchcopy.expect(0, &["verify"])?;
    // With the location of the repository come its keys.
    let repository = site.path("repository").display().to_string();
    site.couchcopy.expect(0, &["verify", &repository])?;
    site.couchcopy.expect(0, &["info", &format!("{repository}::latest")])?;
    Ok(())
}

#[test]
fn one_of_several_clusters_is_chosen_by_its_name() -> Result<()> {
    let text = format!(
        "{USUAL}[repository.other]\nlocation = 'other'\n[cluster.test]\nrepository = 'other'\nfile = 'test.toml'\n"
    )
    .replacen("[cluster.prod]\n", "[cluster.prod]\nrepository = 'main'\n", 1);
    let site = Site::new(&text)?;
    let data = site.data.nodes[0].data.display();
    let cluster = site.path("config/couchcopy/test.toml");
    std::fs::write(&cluster, format!("[[node]]\nhost = 'localhost'\ndata = '{data}'\n"))?;
    let couchcopy = &site.couchcopy;
    couchcopy.expect(0, &["config", "check"])?;
    let other = site.path("config/couchcopy/other").display().to_string();
    couchcopy.expect(0, &["repo", "init", &other])?;
    for (command, code) in [("backup", "CC-M04"), ("run", ""), ("repo list", "CC-M07")] {
        let words: Vec<&str> = command.split(' ').collect();
        let ended = couchcopy.run(&words)?;
        assert!(ended.stderr.contains(code) && ended.code != Some(0), "{command}: {ended:?}");
    }
    let result = couchcopy.json(&["backup", "--cluster", "test"])?;
    assert_eq!(
        result["in_repository"]["parent"].as_str(),
        couchcopy.json(&["repo", "list", &other])?["backups"][0]["id"].as_str()
    );
    let wrong = couchcopy.expect(5, &["backup", "--cluster", "tset"])?;
    assert!(wrong.stderr.contains("CC-M03") && wrong.stderr.contains("prod, test"), "{wrong:?}");
    // A file is a file.
    let file = cluster.display().to_string();
    let archive = site.path("a.tar.gz").display().to_string();
    couchcopy.expect(0, &["backup", "--cluster", &file, &archive])?;
    couchcopy.expect(2, &["backup", "--cluster", &file])?;
    Ok(())
}

#[test]
fn mistakes_are_listed_with_their_places() -> Result<()> {
    let site = Site::new(
        "[cluster.prod]\nfile = 'prod.toml'\n[repository.main]\nlocatoin = '/b'\n[hooks]\non_start = 'x'\n",
    )?;
    let couchcopy = &site.couchcopy;
    let found = couchcopy.json_of(3, &["config", "check"])?;
    let places: Vec<_> = found["mistakes"]
        .as_array()
        .ok_or("no list")?
        .iter()
        .map(|mistake| (mistake["line"].as_u64(), mistake["column"].as_u64(), mistake["key"].as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (Some(2), Some(8), Some("cluster.prod.file")),
            (Some(3), Some(13), Some("repository.main")),
            (Some(4), Some(1), Some("repository.main.locatoin")),
            (Some(6), Some(12), Some("hooks.on_start")),
        ]
    );
    let text = couchcopy.expect(3, &["config", "check"])?.stdout;
    assert!(
        text.contains("couchcopy.toml:4:1: repository.main.locatoin: unknown key; did you mean location?"),
        "{text}"
    );
    // A command that needs the file refuses it; one that does not only warns.
    assert!(couchcopy.expect(5, &["backup"])?.stderr.contains("CC-M01"));
    let archive = site.path("a.tar.gz").display().to_string();
    let data = format!("localhost,{}", site.data.nodes[0].data.display());
    let ended = couchcopy.expect(0, &["backup", &data, &archive])?;
    assert!(ended.stderr.contains("the configuration file is not used"), "{ended:?}");
    // Another file.
    let good = site.path("good.toml");
    std::fs::write(&good, "[repository.main]\nlocation = '/b'\n")?;
    couchcopy.expect(0, &["config", "check", "--config", good.to_str().ok_or("not text")?])?;
    couchcopy.expect(7, &["config", "check", "--config", "/nonexistent.toml"])?;
    Ok(())
}

#[test]
fn without_a_configuration_arguments_are_missing() -> Result<()> {
    let site = Site::new("")?;
    std::fs::remove_file(site.configuration())?;
    let couchcopy = &site.couchcopy;
    for words in [
        &["backup"][..],
        &["check"],
        &["status"],
        &["clean"],
        &["doctor"],
        &["service", "status"],
        &["verify"],
        &["repo", "list"],
    ] {
        couchcopy.expect(2, words)?;
    }
    for words in [&["run"][..], &["config", "check"], &["restore", "::latest"]] {
        let ended = couchcopy.expect(5, words)?;
        assert!(ended.stderr.contains("CC-M09") || ended.stderr.contains("CC-X04"), "{words:?}: {ended:?}");
    }
    Ok(())
}

#[test]
fn the_schema_accepts_the_example() -> Result<()> {
    let site = Site::new("")?;
    let schema = site.couchcopy.json(&["config", "schema"])?;
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    // The example of the package, with its comments turned into settings.
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/etc/couchcopy.toml");
    let text = std::fs::read_to_string(example)?;
    site.configure(&text)?;
    site.couchcopy.expect(0, &["config", "check"])?;
    let uncommented = text.lines().skip_while(|line| !line.starts_with("# [")).map(|line| {
        let line = line.strip_prefix("# ").unwrap_or_default();
        if line.starts_with('#') { "" } else { line }
    });
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    site.configure(
        &uncommented.replace("\"/etc/couchcopy/alert\"", "\"true\"").replace("age1...", RECIPIENT),
    )?;
    std::fs::write(site.path("config/couchcopy/prod.password"), "x\n")?;
    std::fs::create_dir(site.path("config/couchcopy/repositories"))?;
    std::fs::write(site.path("config/couchcopy/repositories/main.key"), "x\n")?;
    let ended = site.couchcopy.expect(0, &["config", "check"])?;
    assert!(ended.stdout.contains("no mistakes; 1 cluster, 1 repository"), "{ended:?}\n{uncommented}");
    Ok(())
}
