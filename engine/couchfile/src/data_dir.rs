//! Names of the files in a node's data folder.
//!
//! `shards/BBBBBBBB-EEEEEEEE/NAME.SUFFIX.couch` and `.shards/BBBBBBBB-EEEEEEEE/NAME.SUFFIX_design/mrview/SIG.view`; a
//! database's name stands there verbatim, a `/` in it makes folders.
//!
//! Source: `mem3_util.erl` and `mem3_hash.erl` (names, ranges, placement).

use std::fmt;
use std::str::FromStr;

/// Name of the file with the shard maps, below the data folder.
pub const SHARD_MAPS: &str = "_dbs.couch";
/// A directory in the root of a file system, which only root may list. It is there where a data directory is a mount point.
pub const LOST_AND_FOUND: &str = "lost+found";

/// A part of the hash space, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// First hash.
    pub begin: u32,
    /// Last hash.
    pub end: u32,
}

impl Range {
    /// The ranges of a database with `q` shards, as CouchDB cuts them: equal steps, the last one takes the rest.
    pub fn split(q: u32) -> Vec<Self> {
        let q = q.max(1);
        let step = u32::try_from((1u64 << 32) / u64::from(q)).unwrap_or(u32::MAX);
        if q == 1 {
            return vec![Self { begin: 0, end: u32::MAX }];
        }
        (0..q)
            .map(|i| Self { begin: i * step, end: if i == q - 1 { u32::MAX } else { (i + 1) * step - 1 } })
            .collect()
    }

    /// Whether some hash lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }

    /// Whether a document with this hash lies here.
    pub fn contains(self, hash: u32) -> bool {
        (self.begin..=self.end).contains(&hash)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:08x}", self.begin, self.end)
    }
}

/// The text is not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a range is written as two times eight lower-case hexadecimal digits with a dash between")]
pub struct RangeError;

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let hex = |part: &str| {
            let lower = part.len() == 8 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if lower { u32::from_str_radix(part, 16).map_err(|_| RangeError) } else { Err(RangeError) }
        };
        let (begin, end) = text.split_once('-').ok_or(RangeError)?;
        Ok(Self { begin: hex(begin)?, end: hex(end)? })
    }
}

/// Where a document lies: CRC32 of its id or, in a partitioned database, of the part before the first colon. Ids that
/// begin with `_` are hashed completely.
pub fn document_hash(id: &[u8], partitioned: bool) -> u32 {
    let part =
        if partitioned && !id.starts_with(b"_") { id.split(|&b| b == b':').next().unwrap_or(id) } else { id };
    crc32fast::hash(part)
}

/// A shard of a database: its range, the database's name and the suffix that distinguishes it from earlier databases of that
/// name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardName {
    /// The part of the hash space.
    pub range: Range,
    /// The database's name.
    pub db: String,
    /// `.` and the time of creation in unix seconds; empty in old databases.
    pub suffix: String,
}

impl ShardName {
    /// Path of the shard's file below the data folder.
    pub fn path(&self) -> String {
        format!("shards/{}/{}{}.couch", self.range, self.db, self.suffix)
    }

    /// Path of the folder with the shard's view indexes below the data folder.
    pub fn view_folder(&self) -> String {
        format!(".shards/{}/{}{}_design/mrview", self.range, self.db, self.suffix)
    }

    fn parse(range: &str, name: &str) -> Option<Self> {
        let range = range.parse().ok()?;
        let (db, suffix) = split_suffix(name);
        if db.is_empty() || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return None;
        }
        Some(Self { range, db: db.to_owned(), suffix: suffix.to_owned() })
    }
}

/// Parts a name into the database's name and its suffix: the last eleven characters where they are a dot and ten digits.
pub fn split_suffix(name: &str) -> (&str, &str) {
    if let Some(at) = name.len().checked_sub(11)
        && let Some((db, suffix)) = name.split_at_checked(at)
        && let Some(digits) = suffix.strip_prefix('.')
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        return (db, suffix);
    }
    (name, "")
}

/// What a path below the data folder names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataFile {
    /// `_dbs.couch`.
    ShardMaps,
    /// A shard's file.
    Shard(ShardName),
    /// A view index of a shard; its signature is 32 hexadecimal digits.
    View {
        /// The shard.
        shard: ShardName,
        /// The file's name without its ending.
        signature: String,
    },
}

impl DataFile {
    /// Recognises a path below the data folder; `None` for everything a backup leaves out.
    pub fn parse(path: &str) -> Option<Self> {
        if path == SHARD_MAPS {
            return Some(Self::ShardMaps);
        }
        if let Some(rest) = path.strip_prefix("shards/").or_else(|| late(path)) {
            let (range, file) = rest.split_once('/')?;
            return ShardName::parse(range, file.strip_suffix(".couch")?).map(Self::Shard);
        }
        let (range, rest) = path.strip_prefix(".shards/")?.split_once('/')?;
        let (name, file) = rest.rsplit_once("_design/mrview/")?;
        let signature = file.strip_suffix(".view")?;
        if signature.len() != 32 || !signature.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self::View { shard: ShardName::parse(range, name)?, signature: signature.to_owned() })
    }

    /// The path below the data folder.
    pub fn path(&self) -> String {
        match self {
            Self::ShardMaps => SHARD_MAPS.to_owned(),
            Self::Shard(shard) => shard.path(),
            Self::View { shard, signature } => format!("{}/{signature}.view", shard.view_folder()),
        }
    }
}

/// Folder of shards in an archive that were split off while the backup ran; a digit follows. `~` sorts behind `/`.
const LATE: &str = "shards~";

/// Where an archive keeps a shard, by its path below the data folder, that was split off while the backup ran: behind all
/// others, in the order of the rounds in which such shards were looked for (1 to 9).
pub fn late_path(path: &str, round: u8) -> String {
    let rest = path.strip_prefix("shards/").unwrap_or(path);
    format!("{LATE}{}/{rest}", round.clamp(1, 9))
}

fn late(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(LATE)?;
    rest.strip_prefix(|round: char| round.is_ascii_digit())?.strip_prefix('/')
}

/// Parts the path of a file in an archive of a data folder into the folder before the data folder's content and what it is
/// there; `None` for files that a backup does not need.
pub fn locate(name: &str) -> Option<(&str, DataFile)> {
    let mut start = 0;
    loop {
        if let Some(file) = DataFile::parse(&name[start..]) {
            return Some((&name[..start], file));
        }
        start += name[start..].find('/')? + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_data_folder_at_any_depth() {
        let shard = "shards/00000000-ffffffff/a.1795355234.couch";
        for root in ["", "data/", "opt/couchdb/data/"] {
            let name = format!("{root}{shard}");
            let (found, file) = locate(&name).unwrap();
            assert_eq!((found, file.path().as_str()), (root, shard));
        }
        assert_eq!(locate("data/_dbs.couch").unwrap().1, DataFile::ShardMaps);
        let nested = "data/shards/00000000-ffffffff/shards/00000000-ffffffff/x.1795355234.couch";
        assert_eq!(locate(nested).unwrap().0, "data/");
        for other in ["data/_nodes.couch", "metadata.yaml", "data/shards/x", ""] {
            assert!(locate(other).is_none(), "{other}");
        }
    }

    #[test]
    fn paths_come_back() {
        for path in [
            "_dbs.couch",
            "shards/00000000-7fffffff/na/me+with$spe(c)i-a_l/x.1795356995.couch",
            "shards/00000000-ffffffff/old.couch",
            ".shards/80000000-ffffffff/a/b.1795355234_design/mrview/2211de6fd42bbc31fa6c29d35b3a8407.view",
        ] {
            assert_eq!(DataFile::parse(path).unwrap().path(), path);
        }
        let Some(DataFile::Shard(shard)) = DataFile::parse("shards/00000000-ffffffff/a/b.1795355234.couch")
        else {
            panic!()
        };
        assert_eq!((shard.db.as_str(), shard.suffix.as_str()), ("a/b", ".1795355234"));
    }

    #[test]
    fn shards_that_were_split_off_are_shards() {
        let path = "shards/00000000-7fffffff/a/b.1795355234.couch";
        let late = late_path(path, 2);
        assert!(late.as_str() > "shards/ffffffff-ffffffff/z");
        assert_eq!(DataFile::parse(&late).unwrap().path(), path);
        assert_eq!(locate(&format!("data/{late}")).unwrap().0, "data/");
    }

    #[test]
    fn everything_else_is_left_out() {
        for path in [
            "_nodes.couch",
            ".delete/abc",
            "shards/00000000-ffffffff/a.1795355234.couch.compact.data",
            "shards/00000000-FFFFFFFF/a.1795355234.couch",
            "shards/00000000-ffffffff/../a.1795355234.couch",
            "shards/x/a.couch",
            "shards/00000000-ffffffff/.couch",
            ".shards/00000000-ffffffff/a.1795355234_design/mrview/22.view",
            ".shards/00000000-ffffffff/a_design/mrview/2211de6fd42bbc31fa6c29d35b3a8407.compact.view",
        ] {
            assert_eq!(DataFile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn ranges_as_couchdb_cuts_them() {
        let text = |q| Range::split(q).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(1), ["00000000-ffffffff"]);
        assert_eq!(text(2), ["00000000-7fffffff", "80000000-ffffffff"]);
        assert_eq!(text(3), ["00000000-55555554", "55555555-aaaaaaa9", "aaaaaaaa-ffffffff"]);
        assert_eq!("00000000-7fffffff".parse::<Range>().unwrap().end, 0x7fff_ffff);
    }
}
