//! Data directories of CouchDB 1.x: saved, read and restored.

mod live;
mod saved;

use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::lab::couchcopy;
use couchcopy_tests::old_files::{Content, Writer};
use couchfile::data_dir::Range;
use serde_json::{Value, json};

/// The databases of the directory that the tests use.
fn databases() -> Vec<(&'static str, Content, Writer)> {
    let users = Content {
        documents: vec![couchcopy_tests::old_files::Document {
            id: "org.couchdb.user:jan".into(),
            // As CouchDB 1.2 and older hashed passwords: SHA-1 of the password `apple` and the salt.
            body: json!({
                "type": "user", "name": "jan", "roles": [],
                "salt": "ebd6f9ad6d52",
                "password_sha": "474c330dc9cced4822cc3d4bef4fa0cf13350e10",
            }),
            deleted: false,
            attachment: None,
        }],
        ..Content::default()
    };
    vec![
        ("plain", Content::sample(300), Writer::From1_2),
        ("oldest", Content::sample(120), Writer::UpTo1_1),
        ("team/a", Content::sample(40), Writer::From1_2),
        ("empty", Content::default(), Writer::From1_2),
        ("_users", users, Writer::From1_2),
    ]
}

/// Writes a data directory of CouchDB 1.x.
fn write(folder: &Path) -> Result<()> {
    for (name, content, writer) in databases() {
        let path = folder.join(format!("{name}.couch"));
        std::fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        std::fs::write(path, content.write(writer)?)?;
    }
    for other in [".plain_design/3a1b.view", ".delete/5f", "couch.uri", "plain.view.tmp"] {
        let path = folder.join(other);
        std::fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        std::fs::write(path, b"no database")?;
    }
    Ok(())
}

/// What HTTP is to tell when each database has so many ranges.
fn expected(q: impl Fn(&str) -> u32) -> Result<Value> {
    let mut all = serde_json::Map::new();
    for (name, content, _) in databases() {
        let mut database = content.expected()?;
        let ranges: Vec<String> = Range::split(q(name)).iter().map(ToString::to_string).collect();
        database["ranges"] = json!(ranges);
        all.insert(name.to_owned(), database);
    }
    Ok(all.into())
}

/// A backup of such a directory, and what the command printed.
fn back_up(dir: &Path) -> Result<(PathBuf, String)> {
    let data = dir.join("couchdb-1");
    write(&data)?;
    let archive = dir.join("old.tar.gz");
    let ended = couchcopy(&[
        "backup".to_owned(),
        format!("localhost,{}", data.display()),
        archive.display().to_string(),
    ])?;
    let told = format!("{}{}", ended.stderr, ended.stdout);
    ended.success()?;
    Ok((archive, told))
}
