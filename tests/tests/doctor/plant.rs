//! Plants faults in the files of nodes that are stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use couchcopy_tests::{Result, fixtures};
use couchfile::data_dir::DataFile;
use couchfile::database::Database;
use couchfile::edit::{Edit, edit};
use couchfile::header::HeaderEdit;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings};

/// The files of a database's shards below a data directory, in order.
pub(super) fn shards_of(data: &Path, db: &str) -> Result<Vec<String>> {
    let of_db =
        |path: &String| matches!(DataFile::parse(path), Some(DataFile::Shard(shard)) if shard.db == db);
    let found: Vec<String> = fixtures::files_below(data)?.into_iter().filter(of_db).collect();
    if found.is_empty() { Err(format!("no shards of {db} in {}", data.display()).into()) } else { Ok(found) }
}

/// The path of the first shard of a database.
pub(super) fn shard(data: &Path, db: &str) -> Result<PathBuf> {
    Ok(data.join(&shards_of(data, db)?[0]))
}

/// The path of the first view index of a database.
pub(super) fn index(data: &Path, db: &str) -> Result<PathBuf> {
    let of_db =
        |path: &String| matches!(DataFile::parse(path), Some(DataFile::View { shard, .. }) if shard.db == db);
    let found = fixtures::files_below(data)?.into_iter().find(of_db);
    Ok(data.join(found.ok_or_else(|| format!("no view index of {db}"))?))
}

/// Writes a file below a data directory.
pub(super) fn put(data: &Path, path: &str, content: &[u8]) -> Result<()> {
    let path = data.join(path);
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    Ok(fs::write(path, content)?)
}

/// Overwrites a file with zeros: no header is left.
pub(super) fn zero(path: &Path) -> Result<()> {
    let length = fs::metadata(path)?.len() as usize;
    Ok(fs::write(path, vec![0; length])?)
}

/// Changes a byte of the body that holds this text.
pub(super) fn damage_body(path: &Path, text: &[u8]) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let at =
        bytes.windows(text.len()).rposition(|window| window == text).ok_or("the text is not in the file")?;
    bytes[at] ^= 0x20;
    Ok(fs::write(path, bytes)?)
}

/// Changes the header of a file.
pub(super) fn edit_header(path: &Path, header: HeaderEdit) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let tail =
        edit(&Database::open(bytes.as_slice())?, &Edit { header, keep_local: &|_| true, add_local: &[] })?;
    bytes.truncate(tail.keep as usize);
    bytes.extend_from_slice(&tail.bytes);
    Ok(fs::write(path, bytes)?)
}

/// The uuid of a shard.
pub(super) fn uuid(path: &Path) -> Result<String> {
    Ok(Database::open(fs::read(path)?)?.header().uuid.clone().ok_or("no uuid")?)
}

/// The bytes of a database with so many documents.
pub(super) fn new_shard(documents: usize) -> Result<Vec<u8>> {
    let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("e".repeat(32), "n@h"))?;
    for i in 0..documents {
        let term = couchfile::ejson::encode_json(&serde_json::json!({"n": i}))?;
        let body = NewBody { term, deleted: false, attachments: Vec::new() };
        writer.add(&NewDocument::first(i.to_string().as_bytes(), body))?;
    }
    Ok(writer.finish()?)
}

/// Gives a file the time of its last change this long ago.
pub(super) fn age(path: &Path, by: Duration) -> Result<()> {
    Ok(File::options().write(true).open(path)?.set_modified(SystemTime::now() - by)?)
}
