//! View indexes: they open, their name is their signature, and they are not ahead of their database.

use couchcopy_tests::{Result, content, fixtures};
use couchfile::data_dir::DataFile;
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::view::ViewIndex;

#[test]
fn view_indexes_belong_to_their_databases() -> Result<()> {
    let (folders, _alive) = super::all_data_folders()?;
    let mut views = 0;
    for folder in folders {
        for path in fixtures::files_below(&folder)? {
            let Some(DataFile::View { shard, signature }) = DataFile::parse(&path) else { continue };
            let bytes = FileBytes::new(std::fs::File::open(folder.join(&path))?)?;
            let len = bytes.len();
            let index = ViewIndex::open(bytes)?;
            let named = u128::from_str_radix(&signature, 16)?.to_be_bytes();
            assert_eq!(index.header.signature, named, "{path}");
            assert_eq!(index.header_end, len, "{path}");
            let database = content::open(&folder.join(shard.path()))?;
            assert!(index.header.update_seq > 0 || database.header().update_seq <= 1, "{path}");
            assert!(index.header.update_seq <= database.header().update_seq, "{path}");
            assert!(index.header.purge_seq <= database.purge_seq()?, "{path}");
            assert!(!index.header.roots.is_empty() || database.counts()? == (0, 0), "{path}");
            views += 1;
        }
    }
    assert!(views >= 10, "{views}");
    Ok(())
}
