//! Every command of a repository, from its making to its pruning, in a directory and in a store, encrypted or not.

use couchcopy_tests::Result;
use serde_json::Value;

use super::data::Data;
use super::place::{Place, RECIPIENT, id_of};

/// Fails unless the value has these fields, and fields of no other names.
fn assert_fields(value: &Value, fields: &[&str]) {
    let mut found: Vec<&str> =
        value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
    let mut fields = fields.to_vec();
    found.sort_unstable();
    fields.sort_unstable();
    assert_eq!(found, fields, "{value}");
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// A backup and an archive of the same moment.
struct Pair {
    id: String,
    archive: String,
}

/// Makes a backup and an archive, and checks that both have the same content.
fn save(place: &Place, data: &Data, key: &[&str], pairs: &mut Vec<Pair>) -> Result<Value> {
    let result = place.couchcopy.json(&["backup", "--repo", &place.repo, &data.node()])?;
    let parent = if pairs.is_empty() { &[][..] } else { &["parent"] };
    let fields = [&["id", "files", "read_files", "new_bytes"], parent].concat();
    assert_fields(&result["in_repository"], &fields);
    let id = id_of(&result)?;
    let archive = place.text_path(&format!("{id}.tar.gz"));
    place.couchcopy.expect(0, &["backup", &data.node(), &archive])?;
    let pair = Pair { id, archive };
    assert_same(place, &pair, key)?;
    pairs.push(pair);
    Ok(result)
}

fn assert_same(place: &Place, pair: &Pair, key: &[&str]) -> Result<()> {
    let backup = place.of(&pair.id);
    let verified = |words: &[&str]| place.couchcopy.json(&[&["verify"], words].concat());
    assert_eq!(verified(&[&[backup.as_str()], key].concat())?, verified(&[&pair.archive])?);
    let of_archive = place.couchcopy.restored(&pair.archive, &[])?;
    assert!(!of_archive.is_empty());
    assert!(place.couchcopy.restored(&backup, key)? == of_archive, "{backup} is not {}", pair.archive);
    Ok(())
}

fn from_its_making_to_its_pruning(place: &Place, is_encrypted: bool) -> Result<()> {
    let couchcopy = &place.couchcopy;
    let identity = place.identity()?;
    let (recipient, key): (&[&str], &[&str]) =
        if is_encrypted { (&["--recipient", RECIPIENT], &["--identity", &identity]) } else { (&[], &[]) };
    let data = Data::new(3, 700)?;
    let mut pairs = Vec::new();

    let made = place.init(recipient)?;
    assert_fields(&made, &["repository", "id", "encrypted", "host_key", "refuses_to_replace"]);
    assert_eq!(
        (&made["repository"], &made["encrypted"]),
        (&place.repo.as_str().into(), &is_encrypted.into())
    );
    let host_key = made["host_key"].as_str().ok_or("no key")?;
    assert!(host_key.starts_with(&place.text_path("config")), "{host_key}");

    let first = save(place, &data, key, &mut pairs)?;
    let of = |result: &Value, field: &str| number(&result["in_repository"][field]);
    assert_eq!(of(&first, "read_files"), of(&first, "files"));
    let all = number(&first["content_bytes"]);
    assert!(all > 3 << 20, "{first}");

    // Nothing has changed.
    let again = save(place, &data, key, &mut pairs)?;
    assert_eq!(again["in_repository"]["parent"], pairs[0].id.as_str());
    assert!(of(&again, "new_bytes") < 20_000, "{again}");
    assert_eq!(again["content_bytes"], first["content_bytes"]);

    data.grow(1, 300_000)?;
    let grown = save(place, &data, key, &mut pairs)?;
    // The piece that has grown, and a new one.
    assert!((300_000..2_500_000).contains(&of(&grown, "new_bytes")), "{grown}");

    data.set_databases(4)?;
    let more = save(place, &data, key, &mut pairs)?;
    assert_eq!(number(&more["databases"]), 4);
    assert!((1_000_000..3_000_000).contains(&of(&more, "new_bytes")), "{more}");

    data.set_databases(2)?;
    let fewer = save(place, &data, key, &mut pairs)?;
    assert_eq!(number(&fewer["databases"]), 2);
    assert!(of(&fewer, "new_bytes") < 100_000, "{fewer}");

    data.replace(0)?;
    let replaced = save(place, &data, key, &mut pairs)?;
    // Its documents are found again.
    assert!((1..100_000).contains(&of(&replaced, "new_bytes")), "{replaced}");

    // Everything is listed.
    let list = couchcopy.json(&["repo", "list", &place.repo])?;
    assert_fields(&list, &["repository", "id", "encrypted", "backups"]);
    assert_eq!(list["id"], made["id"]);
    let listed = list["backups"].as_array().ok_or("no list")?;
    assert_eq!(listed.len(), pairs.len());
    for (line, pair) in listed.iter().zip(&pairs) {
        assert_eq!(line["id"], pair.id.as_str());
        assert_eq!(
            (&line["complete"], &line["nodes"]),
            (&true.into(), &serde_json::json!(["couchdb@127.0.9.91"]))
        );
        for field in [
            "begun",
            "committed",
            "host",
            "databases",
            "documents",
            "files",
            "content_bytes",
            "added_bytes",
            "signed_by",
        ] {
            assert!(line.get(field).is_some_and(|value| !value.is_null()), "{field}: {line}");
        }
    }
    let checked = place.check()?;
    assert_fields(&checked, &["backups", "objects", "bytes", "unneeded", "unneeded_bytes", "findings"]);
    assert_eq!((number(&checked["backups"]), number(&checked["unneeded"])), (6, 0));

    // Thrown away are all but two.
    let planned = couchcopy.json(&["repo", "expire", "--keep-last", "2", "--dry-run", &place.repo])?;
    assert_eq!(place.ids()?.len(), 6);
    let expired = couchcopy.json(&["repo", "expire", "--keep-last", "2", &place.repo])?;
    assert_fields(&expired, &["dry_run", "kept", "removed"]);
    assert_eq!((&expired["removed"], &expired["kept"]), (&planned["removed"], &planned["kept"]));
    assert_eq!(expired["kept"][0]["reasons"], serde_json::json!(["last 2"]));
    let kept = pairs.split_off(4);
    assert_eq!(place.ids()?, [kept[0].id.as_str(), kept[1].id.as_str()]);

    let fields = [
        "dry_run",
        "needed",
        "needed_bytes",
        "marked",
        "marked_bytes",
        "waiting",
        "deleted",
        "deleted_bytes",
        "under_way",
    ];
    let marked = couchcopy.json(&["repo", "prune", &place.repo])?;
    assert_fields(&marked, &fields);
    assert!(number(&marked["marked"]) > 0 && marked["deleted"] == 0, "{marked}");
    let waits = couchcopy.json(&["repo", "prune", "--dry-run", &place.repo])?;
    assert_eq!((&waits["waiting"], &waits["deleted"]), (&marked["marked"], &0.into()));
    let bytes = number(&place.check()?["unneeded_bytes"]);
    let pruned = couchcopy.json(&["repo", "prune", "--grace", "0s", &place.repo])?;
    assert_eq!((&pruned["deleted"], number(&pruned["deleted_bytes"])), (&marked["marked"], bytes));
    assert_eq!((number(&place.check()?["unneeded"]), place.objects("marks")?.len()), (0, 0));
    for pair in &kept {
        assert_same(place, pair, key)?;
    }
    assert_eq!(place.objects("intents")?, Vec::<String>::new());

    // Out and in again.
    let out = place.text_path("out.tar.gz");
    let copied = couchcopy.json(&[&["repo", "copy", &place.of("latest"), &out], key].concat())?;
    assert_fields(&copied, &["to", "files", "content_bytes", "stored_bytes"]);
    assert!(couchcopy.restored(&out, &[])? == couchcopy.restored(&kept[1].archive, &[])?);
    let imported = couchcopy.json(&["repo", "import", &pairs[3].archive, &place.repo])?;
    let (_, id) = imported["to"].as_str().and_then(|to| to.split_once("::")).ok_or("no id")?;
    let imported = Pair { id: id.to_owned(), archive: pairs[3].archive.clone() };
    assert_same(place, &imported, key)?;
    // What was imported is older than the others, and the newest one is still the latest.
    assert_eq!(place.ids()?[0], imported.id);
    assert!(couchcopy.restored(&place.of("latest"), key)? == couchcopy.restored(&kept[1].archive, &[])?);
    save(place, &data, key, &mut pairs)?;
    place.assert_prunes_clean()
}

#[test]
fn a_plain_repository() -> Result<()> {
    Place::each("commands-plain")?.iter().try_for_each(|place| from_its_making_to_its_pruning(place, false))
}

#[test]
fn an_encrypted_repository() -> Result<()> {
    Place::each("commands-encrypted")?
        .iter()
        .try_for_each(|place| from_its_making_to_its_pruning(place, true))
}

/// Machines come and go.
#[test]
fn another_machine_makes_backups_until_it_is_removed() -> Result<()> {
    for place in Place::each("commands-machines")? {
        let (data, couchcopy) = (Data::new(2, 20)?, &place.couchcopy);
        let identity = place.identity()?;
        place.init(&["--recipient", RECIPIENT])?;
        let ours = place.backup(&data.node())?;
        let (key, nowhere) = (place.text_path("other.key"), place.text_path("nowhere"));
        let holders = couchcopy.json(&[
            "repo",
            "key",
            "add",
            "--identity",
            &identity,
            "--host",
            &key,
            "--host-name",
            "other",
            &place.repo,
        ])?;
        let other =
            holders.as_array().and_then(|holders| holders.iter().find(|holder| holder["name"] == "other"));
        let other = other.and_then(|other| other["public"].as_str()).ok_or("it is not listed")?;
        assert_eq!(couchcopy.json(&["repo", "key", "list", &place.repo])?, holders);
        let elsewhere = couchcopy.and(&[("XDG_CONFIG_HOME", &nowhere), ("XDG_CACHE_HOME", &nowhere)]);
        data.grow(1, 5000)?;
        let made = elsewhere.json(&["backup", "--host-key", &key, "--repo", &place.repo, &data.node()])?;
        let theirs = id_of(&made)?;
        assert_eq!(made["in_repository"]["parent"], ours.as_str());
        couchcopy.expect(0, &["verify", "--identity", &identity, &place.of(&theirs)])?;

        couchcopy.expect(0, &["repo", "key", "remove", "--identity", &identity, &place.repo, other])?;
        let refused = elsewhere.run(&["backup", "--host-key", &key, "--repo", &place.repo, &data.node()])?;
        assert!(refused.code != Some(0), "{refused:?}");
        let theirs_now = [&place.of(&theirs), "--identity", &identity];
        let refused = couchcopy.expect(4, &[&["verify"], &theirs_now[..]].concat())?.unwrapped();
        assert!(refused.stderr.contains("CC-Q07") && refused.stderr.contains("--signer"), "{refused:?}");
        couchcopy.expect(0, &[&["verify", "--signer", other], &theirs_now[..]].concat())?;
        // Whoever pins a key accepts no other.
        let pinned =
            couchcopy.expect(4, &["verify", "--signer", other, "--identity", &identity, &place.of(&ours)])?;
        assert!(pinned.stderr.contains("CC-Q07"), "{pinned:?}");
        let list = couchcopy.json_of(3, &["repo", "list", &place.repo])?;
        assert!(list["backups"][1]["problem"].is_string(), "{list}");
        // The next backup is made, and nothing is pruned that theirs may need.
        place.backup(&data.node())?;
        let pruned = couchcopy.json_of(3, &["repo", "prune", "--grace", "0s", &place.repo])?;
        assert_eq!(pruned["unreadable"].as_array().map(Vec::len), Some(1), "{pruned}");
        couchcopy.expect(0, &["verify", "--identity", &identity, &place.of("latest")])?;
        couchcopy.expect(0, &[&["verify", "--signer", other], &theirs_now[..]].concat())?;
    }
    Ok(())
}
