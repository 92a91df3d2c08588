//! What is refused, with the reason and the remedy, and without a secret in it.

use couchcopy_tests::Result;
use couchcopy_tests::lab::Ended;

use super::data::Data;
use super::place::{IDENTITY, Place, RECIPIENT};

/// Fails unless the message has the code of the mistake, and no message has a secret.
fn assert_says(place: &Place, code: &str, ended: Ended) -> Result<()> {
    let ended = ended.unwrapped();
    assert!(ended.stderr.contains(code), "{code} is missing: {ended:?}");
    for secret in secrets(place)? {
        assert!(
            !ended.stderr.contains(&secret) && !ended.stdout.contains(&secret),
            "a secret is in {ended:?}"
        );
    }
    Ok(())
}

/// What no message may hold.
fn secrets(place: &Place) -> Result<Vec<String>> {
    let mut secrets = vec![IDENTITY.to_owned()];
    secrets.extend(place.bucket.as_ref().map(|(s3, _)| s3.secret_key.clone()));
    let folder = place.path("config/couchcopy/repositories");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let text = std::fs::read_to_string(entry?.path())?;
        let of = |word: &str| {
            text.lines().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned())
        };
        secrets.extend([of("signing "), of("index ")].into_iter().flatten());
    }
    Ok(secrets)
}

#[test]
fn a_repository_that_is_not_there_or_not_empty() -> Result<()> {
    for place in Place::each("mistakes-init")? {
        let (couchcopy, data) = (&place.couchcopy, Data::new(1, 5)?);
        if place.bucket.is_none() {
            std::fs::create_dir(place.path("repository"))?;
        }
        for words in [
            &["repo", "list", &place.repo][..],
            &["repo", "prune", &place.repo],
            &["repo", "expire", "--keep-last", "1", &place.repo],
            &["backup", "--repo", &place.repo, &data.node()],
            &["verify", &place.of("latest")],
        ] {
            assert_says(&place, "CC-Q01", couchcopy.expect(5, words)?)?;
        }
        match &place.bucket {
            Some((s3, bucket)) => s3.put(bucket, "r/other", b"1")?,
            None => std::fs::write(place.path("repository/other"), b"1")?,
        }
        assert_says(&place, "CC-Q03", couchcopy.expect(5, &["repo", "init", &place.repo])?)?;
        match &place.bucket {
            Some((s3, bucket)) => s3.delete(bucket, "r/other")?,
            None => std::fs::remove_file(place.path("repository/other"))?,
        }
        place.init(&[])?;
        assert_says(&place, "CC-Q02", couchcopy.expect(5, &["repo", "init", &place.repo])?)?;
        assert_says(&place, "CC-Q08", couchcopy.expect(5, &["verify", &place.of("latest")])?)?;
        for (code, words) in [
            ("CC-X19", &["repo", "list", "-"][..]),
            ("CC-X20", &["repo", "expire", &place.repo]),
            ("CC-X21", &["repo", "key", "add", &place.repo]),
        ] {
            assert_says(&place, code, couchcopy.expect(5, words)?)?;
        }
    }
    Ok(())
}

#[test]
fn a_backup_that_nobody_can_mean() -> Result<()> {
    for place in Place::each("mistakes-ids")? {
        let (couchcopy, data) = (&place.couchcopy, Data::new(1, 5)?);
        place.init(&[])?;
        let ids = [place.backup(&data.node())?, place.backup(&data.node())?];
        for selector in [
            "ffffffffffffffff",
            "20200101T000000.000Z-0123456789abcdef",
            "1999-12-31",
            "1999-12-31T23:59:59Z",
        ] {
            assert_says(&place, "CC-Q08", couchcopy.expect(5, &["verify", &place.of(selector)])?)?;
        }
        // Both begin with the year.
        let ambiguous = couchcopy.expect(5, &["verify", &place.of(&ids[0][..4])])?;
        assert!(ambiguous.stderr.contains(&ids[0]), "{ambiguous:?}");
        assert_says(&place, "CC-Q09", ambiguous)?;
    }
    Ok(())
}

#[test]
fn a_key_that_cannot_be_stored_makes_no_repository() -> Result<()> {
    for place in Place::each("mistakes-stored")? {
        let file = place.text_path("a-file");
        std::fs::write(&file, "")?;
        let key = format!("{file}/host.key");
        let ended = place.couchcopy.expect(7, &["repo", "init", "--host-key", &key, &place.repo])?;
        assert!(ended.stderr.contains("--host-key FILE"), "{ended:?}");
        assert_says(&place, "CC-Q19", ended)?;
        assert_says(&place, "CC-Q01", place.couchcopy.expect(5, &["repo", "list", &place.repo])?)?;
        // The same place is good for the next attempt.
        place.init(&[])?;
    }
    Ok(())
}

#[test]
fn keys_that_open_nothing() -> Result<()> {
    for place in Place::each("mistakes-keys")? {
        let (couchcopy, data) = (&place.couchcopy, Data::new(1, 5)?);
        let identity = place.identity()?;
        let made = place.init(&["--recipient", RECIPIENT])?;
        let id = place.backup(&data.node())?;
        let backup = place.of(&id);
        // This machine lists, and reads no data.
        couchcopy.expect(0, &["repo", "check", &place.repo])?;
        assert_says(&place, "CC-Q13", couchcopy.expect(5, &["verify", &backup])?)?;
        couchcopy.expect(0, &["verify", "--identity", &identity, &backup])?;

        let other = place.text_path("wrong.txt");
        std::fs::copy(&identity, &other)?;
        // A key of ssh, in the place of the right one: made with the right header and no content.
        std::fs::write(&other, "AGE-SECRET-KEY-1MALFORMED\n")?;
        let wrong = couchcopy.run(&["verify", "--identity", &other, &backup])?;
        assert_ne!(wrong.code, Some(0));
        assert_says(&place, "CC-K", wrong)?;

        // Without the key of this machine, nothing is listed; with the offline key alone, all is read and nothing is added.
        let key = made["host_key"].as_str().ok_or("no key")?;
        let aside = place.text_path("aside.key");
        std::fs::rename(key, &aside)?;
        let backup_words = ["backup", "--repo", &place.repo, &data.node()];
        assert_says(&place, "CC-Q11", couchcopy.expect(5, &backup_words)?)?;
        couchcopy.expect(0, &["verify", "--identity", &identity, &backup])?;
        let list = couchcopy.run(&["repo", "list", &place.repo])?;
        assert_ne!(list.code, Some(0), "{list:?}");
        couchcopy.expect(0, &["repo", "list", "--identity", &identity, &place.repo])?;

        // The key of another repository.
        let other = Place::folder()?;
        let of_other = other.init(&[])?;
        let of_other = of_other["host_key"].as_str().ok_or("no key")?;
        let wrong = couchcopy.expect(5, &[&["--host-key", of_other], &backup_words[..]].concat());
        let wrong = match wrong {
            Ok(wrong) => wrong,
            Err(_) => couchcopy.expect(5, &[&backup_words[..], &["--host-key", of_other]].concat())?,
        };
        assert_says(&place, "CC-Q12", wrong)?;

        // A key that others can read.
        std::fs::set_permissions(&aside, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        let open = couchcopy.expect(5, &[&backup_words[..], &["--host-key", &aside]].concat())?;
        assert!(open.stderr.contains("chmod 600"), "{open:?}");
        assert_says(&place, "CC-Q12", open)?;
    }
    Ok(())
}
