//! Adds many small backups to a repository in a directory, for benchmarks of repositories with many backups.
//!
//! `backups REPO HOST-KEY COUNT`: the repository is made by `couchcopy repo init`, and HOST-KEY is the file that this command names.
//! Each backup has four files of which one has changed, and was begun an hour after the one before; the last one now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{EntrySource, Facts, FileStat, Glance, Opened, Seen};
use outcome::Failure;
use repository::{Access, Finish, Repository, SnapshotOptions, SnapshotWriter, Trust};
use store::{Bucket, Directory, Keys};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Bytes of each file.
const SIZE: usize = 1 << 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, place, host_key, count] = &arguments[..] else {
        return Err("usage: backups REPO HOST-KEY COUNT".into());
    };
    let count: i64 = count.parse()?;
    let access = Access {
        directory: Directory::new(Bucket::folder(Path::new(place))?, ""),
        keys: Arc::new(Keys::default()),
        host_key: Some(PathBuf::from(host_key)),
        trust: Trust::Listed,
        keeps_copies: false,
        reporter: None,
    };
    let repository = Repository::open(access)?;
    let now = jiff::Timestamp::now();
    for number in 0..count {
        let made = now.checked_sub(jiff::SignedDuration::from_hours(count - 1 - number))?;
        let options = SnapshotOptions {
            made: Some(made),
            host: "bench".into(),
            threads: 1,
            ..SnapshotOptions::new(vec!["couchdb@127.0.0.1".into()])
        };
        let mut writer = SnapshotWriter::begin(&repository, options)?;
        let changed = number.unsigned_abs();
        let file = |name: &str, version| File { name: name.to_owned(), version };
        // One changes with each backup, the others now and then.
        let files = [
            file(archive::METADATA, changed),
            file("data/_dbs.couch", changed / 500),
            file("data/shards/00000000-ffffffff/a.1.couch", changed),
            file("data/shards/00000000-ffffffff/b.1.couch", changed / 50),
        ];
        writer.add_all_waiting(files.into_iter(), &|_| {}, &|| {})?;
        let finish = |_| {
            Ok(Finish { record: serde_json::json!({}), databases: 2, documents: Some(2), complete: true })
        };
        writer.finish_with(finish)?.ok_or("nothing was added")?;
    }
    Ok(())
}

/// A file whose content follows from its name and version.
struct File {
    name: String,
    version: u64,
}

impl EntrySource for File {
    fn glance(&self) -> Option<Glance> {
        Some(Glance { name: self.name.clone(), stat: Some(self.stat()) })
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.name.as_bytes()).update(&self.version.to_le_bytes());
        buf.resize(SIZE, 0);
        hasher.finalize_xof().fill(buf);
        let seen = Some(Seen { stat: self.stat(), memo: None });
        Ok(Opened::Small { name: self.name, mtime: 1, facts: Facts::Other, seen })
    }
}

impl File {
    fn stat(&self) -> FileStat {
        let changed = i64::try_from(self.version).unwrap_or(i64::MAX);
        FileStat { length: SIZE as u64, changed, device: 1, inode: 1 }
    }
}
