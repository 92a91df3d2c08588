//! The shard maps as an entry of the archive.

use archive::{EntrySource, Facts, FileStat, Glance, Opened, Seen};
use couchfile::data_dir::DataFile;
use couchfile::read_at::{Prefix, ReadAt};
use outcome::Failure;

use super::DATA;
use crate::maps::NewMaps;
use crate::plan::Maps;

/// The shard maps as they were opened at the beginning, or as they were rewritten for the archive.
pub(crate) struct MapsSource<'p, 'f> {
    pub(crate) maps: &'p Maps<'f>,
    pub(crate) rewritten: Option<NewMaps>,
    pub(crate) now: u64,
}

impl EntrySource for MapsSource<'_, '_> {
    fn glance(&self) -> Option<Glance> {
        Some(Glance { name: format!("{DATA}{}", DataFile::ShardMaps.path()), stat: None })
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let Maps { database, folder, count } = self.maps;
        let name = format!("{DATA}{}", DataFile::ShardMaps.path());
        let mtime = folder.maps_mtime.min(self.now);
        if let Some(NewMaps { content, facts }) = self.rewritten {
            let len = content.len();
            return whole(name, mtime, facts, None, content, len, buf);
        }
        let header = database.header();
        let facts = Facts::ShardMaps {
            node: folder.name.clone(),
            maps: *count,
            uuid: header.uuid.clone(),
            seq: header.update_seq,
            header: database.header_offset(),
        };
        // It may be another file by now. Then the pieces of the earlier backup do not fit, and all of it is sent.
        let near = folder.origin.is_local().then(|| folder.path.join(DataFile::ShardMaps.path()));
        let stat = near.and_then(|path| std::fs::metadata(path).ok()).map(|facts| FileStat::of(&facts));
        let seen = stat.map(|stat| Seen { stat, memo: None });
        whole(name, mtime, facts, seen, database.source().clone(), database.header_end(), buf)
    }
}

/// The first `len` bytes of a file, in `buf` if they are few.
fn whole<R: ReadAt + 'static>(
    name: String,
    mtime: u64,
    facts: Facts,
    seen: Option<Seen>,
    source: R,
    len: u64,
    buf: &mut Vec<u8>,
) -> Result<Opened, Failure> {
    if len <= contents::SMALL {
        buf.resize(len as usize, 0);
        source.read_exact_at(buf, 0).map_err(|e| Failure::io("read", &name, e))?;
        return Ok(Opened::Small { name, mtime, facts, seen });
    }
    Ok(Opened::Large { name, mtime, facts, seen, data: Box::new(Prefix::new(source, len)) })
}
