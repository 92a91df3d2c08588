//! Objects that are missing, damaged or not of the repository: what is not affected is restored, and everything else is named.

use couchcopy_tests::Result;

use super::data::Data;
use super::place::Place;

/// The name of this machine, as it stands in backups.
fn host() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned())
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Gone,
    Cut,
    Flipped,
}

impl Damage {
    fn of(self, content: &[u8]) -> Option<Vec<u8>> {
        let mut other = content.to_vec();
        match self {
            Self::Gone => return None,
            Self::Cut => other.truncate(content.len() / 2),
            Self::Flipped => {
                // Every piece of it.
                for byte in other.iter_mut().skip(9).step_by(200) {
                    *byte ^= 0x40;
                }
            }
        }
        Some(other)
    }
}

impl Place {
    /// The content of an object, as [`Self::objects`] names it.
    fn object(&self, key: &str) -> Result<Vec<u8>> {
        match &self.bucket {
            Some((s3, bucket)) => Ok(s3.get(bucket, key)?.ok_or("it is gone")?),
            None => Ok(std::fs::read(key)?),
        }
    }

    /// Replaces an object, or removes it.
    fn put_object(&self, key: &str, content: Option<&[u8]>) -> Result<()> {
        match (&self.bucket, content) {
            (Some((s3, bucket)), Some(content)) => s3.put(bucket, key, content),
            (Some((s3, bucket)), None) => s3.delete(bucket, key),
            (None, Some(content)) => Ok(std::fs::write(key, content)?),
            (None, None) => Ok(std::fs::remove_file(key)?),
        }
    }

    /// The key of an object in the repository, as [`Self::objects`] names it.
    fn key(&self, key: &str) -> String {
        match &self.bucket {
            Some(_) => format!("r/{key}"),
            None => self.path("repository").join(key).display().to_string(),
        }
    }
}

/// One of the packs is lost. Databases that do not lie in it are restored and copied if the user wants that.
#[test]
fn a_lost_pack_takes_only_its_own_files() -> Result<()> {
    for place in Place::each("lost-packs")? {
        let couchcopy = &place.couchcopy;
        let data = Data::new(1, 300)?;
        place.init(&[])?;
        place.backup(&data.node())?;
        let before = place.objects("packs")?;
        data.set_databases(2)?;
        place.backup(&data.node())?;
        let packs = place.objects("packs")?;
        let pack = packs.iter().find(|pack| !before.contains(pack)).ok_or("no new pack")?;
        // The shard maps lie elsewhere now.
        data.set_databases(3)?;
        let id = place.backup(&data.node())?;
        let backup = place.of(&id);
        let intact = couchcopy.restored(&backup, &[])?;
        let right: Vec<_> = intact.into_iter().filter(|(name, _)| !name.contains("bulk-000002")).collect();
        assert_eq!(right.len(), 2);
        let content = place.object(pack)?;
        for damage in [Damage::Gone, Damage::Cut, Damage::Flipped] {
            place.put_object(pack, damage.of(&content).as_deref())?;
            let target = place.path(&format!("restored-{damage:?}"));
            let argument = format!("{},couchdb@127.0.0.1", target.join("data").display());
            let words = ["restore", "--offline", &backup, &argument];
            let refused = couchcopy.expect(6, &words)?.unwrapped();
            let pack_name = pack.rsplit('/').next().unwrap_or_default();
            for expected in ["CC-R10", "bulk-000002", "--skip-damaged", pack_name] {
                assert!(refused.stderr.contains(expected), "{damage:?}: {expected}: {refused:?}");
            }
            assert!(!target.join("data/_dbs.couch").exists());
            let skipped = couchcopy.json_of(3, &[&words[..], &["--skip-damaged"]].concat())?;
            assert_eq!(skipped["left_out"].as_array().map(Vec::len), Some(1), "{skipped}");
            assert_eq!(skipped["databases"], 2, "{skipped}");
            for (name, content) in &right {
                assert!(std::fs::read(target.join(name))? == *content, "{damage:?}: {name}");
            }
            assert!(!target.join("data/shards").read_dir()?.any(|range| {
                range.is_ok_and(|range| {
                    range.path().read_dir().is_ok_and(|mut files| {
                        files.any(|file| {
                            file.is_ok_and(|file| file.path().display().to_string().contains("bulk-000002"))
                        })
                    })
                })
            }));

            let archive = place.text_path(&format!("{damage:?}.tar.gz"));
            couchcopy.expect(4, &["repo", "copy", &backup, &archive])?;
            let copied = couchcopy.json_of(3, &["repo", "copy", "--skip-damaged", &backup, &archive])?;
            assert_eq!(copied["left_out"].as_array().map(Vec::len), Some(1), "{copied}");
            let of_copy = couchcopy.json_of(
                3,
                &["restore", "--offline", "--skip-damaged", &archive, &argument.replace("/data,", "/copy,")],
            )?;
            assert_eq!(of_copy["databases"], 2, "{of_copy}");
            for (name, content) in &right {
                let name = name.replacen("data/", "copy/", 1);
                assert!(std::fs::read(target.join(&name))? == *content, "{damage:?}: {name}");
            }
            // The next backup does not build on it, if its name or length tells.
            if damage != Damage::Flipped {
                assert_eq!(
                    couchcopy.json_of(3, &["repo", "check", &place.repo])?["findings"][0]["backups"]
                        .as_array()
                        .map(Vec::len),
                    Some(2)
                );
                let next = place.backup(&data.node())?;
                couchcopy.expect(0, &["verify", &place.of(&next)])?;
                couchcopy.expect(0, &["repo", "delete", "-y", &place.of(&next)])?;
            }
            place.put_object(pack, Some(&content))?;
        }
        place.verify_all()?;
    }
    Ok(())
}

/// Copies on this machine do not hide what is wrong in the store.
#[test]
fn a_check_reads_the_store_and_not_its_copies() -> Result<()> {
    let Some(place) = Place::store("lost-manifest")? else { return Ok(()) };
    let data = Data::new(2, 50)?;
    place.init(&[])?;
    place.backup(&data.node())?;
    place.check()?;
    let manifest = place.objects("manifests")?.pop().ok_or("no manifest")?;
    let content = place.object(&manifest)?;
    place.put_object(&manifest, Damage::Flipped.of(&content).as_deref())?;
    let checked = place.couchcopy.json_of(3, &["repo", "check", &place.repo])?;
    let name = manifest.rsplit('/').next().unwrap_or_default();
    assert!(
        checked["findings"][0]["object"].as_str().is_some_and(|object| object.ends_with(name)),
        "{checked}"
    );
    // A list of files that is gone is seen by listing.
    place.put_object(&manifest, None)?;
    let list = place.couchcopy.json_of(3, &["repo", "list", &place.repo])?;
    assert!(list["backups"][0]["lacks"][0].as_str().is_some_and(|object| object.ends_with(name)), "{list}");
    let text = place.couchcopy.expect(3, &["repo", "list", &place.repo])?;
    assert!(text.stdout.contains("DAMAGED") && text.stdout.contains("MISSING: "), "{text:?}");
    Ok(())
}

/// An object that is called like the next key set is reported, and keeps nobody from anything.
#[test]
fn a_key_set_of_a_stranger_is_reported() -> Result<()> {
    for place in Place::each("lost-keys")? {
        let couchcopy = &place.couchcopy;
        let data = Data::new(1, 20)?;
        place.init(&[])?;
        place.put_object(&place.key("keys/00000001"), Some(b"something\n"))?;
        for words in [
            &["backup", "--repo", &place.repo, &data.node()][..],
            &["repo", "list", &place.repo],
            &["verify", &place.of("latest")],
            &["repo", "prune", &place.repo],
        ] {
            let ended = couchcopy.expect(0, words)?;
            assert!(ended.stderr.contains("keys/00000001"), "{words:?}: {ended:?}");
        }
        let checked = couchcopy.json_of(3, &["repo", "check", &place.repo])?;
        assert!(checked["findings"][0]["object"].as_str().is_some_and(|key| key.ends_with("keys/00000001")));
        let key = place.text_path("other.key");
        couchcopy.expect(0, &["repo", "key", "add", "--host", &key, &place.repo])?;
        couchcopy.expect(0, &["backup", "--repo", &place.repo, "--host-key", &key, &data.node()])?;
        place.put_object(&place.key("keys/00000001"), None)?;
    }
    Ok(())
}

/// Two installations in one repository: nobody restores one in place of the other by `latest`.
#[test]
fn the_newest_backup_of_two_installations_has_to_be_named() -> Result<()> {
    for place in Place::each("lost-sources")? {
        let couchcopy = &place.couchcopy;
        let (one, other) = (Data::new(1, 20)?, Data::new(2, 20)?);
        place.init(&[])?;
        let of_one = place.backup(&one.node())?;
        couchcopy.expect(0, &["verify", &place.of("latest")])?;
        let of_other = place.backup(&other.node())?;
        for selector in ["latest", "2096-02-29", ""] {
            let refused = couchcopy.expect(5, &["verify", &place.of(selector)])?.unwrapped();
            // Lines break anywhere in it.
            let text = refused.stderr.replace(char::is_whitespace, "");
            for expected in ["CC-Q17", &place.of(&of_one), &place.of(&of_other), "::latest@"] {
                assert!(text.contains(expected), "{expected}: {refused:?}");
            }
        }
        for (data, databases) in [(&one, 1), (&other, 2)] {
            let selector = format!("latest@{}:{}", host()?, data.path().display());
            let info = couchcopy.json(&["info", &place.of(&selector)])?;
            assert_eq!(info["databases"], databases, "{info}");
        }
        couchcopy.expect(5, &["repo", "delete", "-y", &place.of(&format!("latest@{}", host()?))])?;
        couchcopy.expect(0, &["repo", "delete", "-y", &place.of(&of_one)])?;
        couchcopy.expect(0, &["verify", &place.repo])?;
    }
    Ok(())
}
