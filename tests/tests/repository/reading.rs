//! A backup in a repository is read by every command as an archive of the same moment is.

use couchcopy_tests::Result;

use super::data::Data;
use super::place::Place;

#[test]
fn what_commands_print_of_a_backup_is_what_they_print_of_an_archive() -> Result<()> {
    for place in Place::each("reading")? {
        let couchcopy = &place.couchcopy;
        let data = Data::new(3, 60)?;
        place.init(&[])?;
        place.backup(&data.node())?;
        data.grow(0, 30_000)?;
        let id = place.backup(&data.node())?;
        let archive = place.text_path("archive.tar.gz");
        couchcopy.expect(0, &["backup", &data.node(), &archive])?;

        let random = id.split_once('-').ok_or("no random part")?.1;
        let list = couchcopy.json(&["repo", "list", &place.repo])?;
        let begun = list["backups"][1]["begun"].as_str().ok_or("no time")?;
        let moment = format!("{}Z", begun.split_once('.').ok_or("no fraction")?.0);
        let right = couchcopy.restored(&archive, &[])?;
        let backups = [
            place.repo.clone(),
            place.of("latest"),
            place.of(""),
            place.of(&id),
            place.of(&id[..id.len() - 3]),
            place.of(random),
            place.of(&random[..12]),
            place.of(&moment),
            place.of("2096-02-29"),
            place.of("2096-02-29T18:00"),
        ];
        for backup in &backups {
            assert!(couchcopy.restored(backup, &[])? == right, "{backup}");
        }

        let documents = couchcopy.expect(0, &["ls", "--ids", &archive, "bulk-000001"])?.stdout;
        let document = documents.lines().next().ok_or("no documents")?;
        assert!(documents.lines().count() >= 60, "{documents}");
        let questions: [&[&str]; 9] = [
            &["verify"],
            &["verify", "--json"],
            &["ls"],
            &["ls", "--json"],
            &["ls", "%", "bulk-000001"],
            &["ls", "--shards", "%", "bulk-000002"],
            &["get", "%", "bulk-000001", document],
            &["dump", "%", "bulk-000003"],
            &["cat", "%", "data/_dbs.couch"],
        ];
        for question in questions {
            let ask = |backup: &str| {
                let mut words = question.to_vec();
                match words.iter_mut().find(|word| **word == "%") {
                    Some(place) => *place = backup,
                    None => words.push(backup),
                }
                couchcopy.expect(0, &words).map(|ended| ended.stdout)
            };
            let answer = ask(&archive)?;
            assert!(!answer.is_empty(), "{question:?}");
            // Each names what it was asked about.
            assert_eq!(
                ask(&backups[3])?.replace(&backups[3], "%"),
                answer.replace(&archive, "%"),
                "{question:?}"
            );
        }
        let without_date = |backup: &str| {
            let mut info = couchcopy.json(&["info", backup])?;
            info.as_object_mut().and_then(|info| info.remove("date")).ok_or("no date")?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(info)
        };
        assert_eq!(without_date(&backups[0])?, without_date(&archive)?);
    }
    Ok(())
}

/// Backups of some databases are a source of their own: they neither stand for the complete ones nor push them out.
#[test]
fn a_backup_of_some_databases_is_not_the_latest_of_all() -> Result<()> {
    let (place, data) = (Place::folder()?, Data::new(3, 60)?);
    let couchcopy = &place.couchcopy;
    place.init(&[])?;
    let node = data.node();
    let all = place.backup(&node)?;
    let some = || couchcopy.json(&["backup", "--repo", &place.repo, "--only=bulk-000001", &node]);
    let first = some()?;
    assert_eq!((&first["databases"], &first["not_chosen"]), (&1.into(), &2.into()), "{first}");
    data.grow(0, 30_000)?;
    let second = some()?;
    assert_eq!(second["in_repository"]["parent"], first["in_repository"]["id"], "{second}");

    let databases = |backup: &str| -> Result<u64> {
        let info = couchcopy.json(&["info", &place.of(backup)])?;
        Ok(info["databases"].as_u64().ok_or("no number")?)
    };
    assert_eq!(databases("latest")?, 3);
    assert_eq!(databases("latest@--only bulk-000001")?, 1);
    assert_eq!(couchcopy.restored(&place.of("latest"), &[])?, couchcopy.restored(&place.of(&all), &[])?);
    couchcopy.expect(0, &["repo", "expire", "--keep-last", "1", &place.repo])?;
    let mut left = place.ids()?;
    left.sort();
    let mut expected = vec![all, second["in_repository"]["id"].as_str().ok_or("no id")?.to_owned()];
    expected.sort();
    assert_eq!(left, expected);
    place.verify_all()
}
