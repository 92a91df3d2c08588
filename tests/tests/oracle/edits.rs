//! Every file of the fixtures, edited as a restore edits it.

use couchcopy_tests::{Result, content, fixtures};
use couchfile::check::check;
use couchfile::database::Database;
use couchfile::edit::{Edit, edit};
use couchfile::header::HeaderEdit;

const UUID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn edited_files_are_whole_and_hold_what_they_held() -> Result<()> {
    let (folders, _alive) = super::all_data_folders()?;
    let mut dropped = 0;
    for folder in folders {
        for path in &fixtures::files_ending(&folder, "couch")? {
            let mut bytes = std::fs::read(folder.join(path))?;
            let before = Database::open(bytes.clone())?;
            let keep = |id: &[u8]| !id.starts_with(b"_local/shard-sync") && !id.starts_with(b"_local/purge-");
            let header = HeaderEdit {
                uuid: Some(UUID.into()),
                node: Some("new@127.0.0.9".into()),
                revs_limit: Some(17),
                purge_infos_limit: Some(18),
                ..HeaderEdit::default()
            };
            let tail = edit(&before, &Edit { header, keep_local: &keep, add_local: &[] })?;
            bytes.truncate(tail.keep as usize);
            bytes.extend_from_slice(&tail.bytes);

            let len = bytes.len() as u64;
            let after = Database::open(bytes)?;
            let report = check(&after, None)?;
            assert!(report.is_whole(), "{path}: {:?}", report.problems);
            assert_eq!(after.header_end(), len, "{path}");
            let (old, new) = (before.header(), after.header());
            assert_eq!((&old.id_tree, &old.seq_tree), (&new.id_tree, &new.seq_tree), "{path}");
            assert_eq!(
                (&old.purge_tree, &old.purge_seq_tree),
                (&new.purge_tree, &new.purge_seq_tree),
                "{path}"
            );
            assert_eq!((old.security_ptr, old.props_ptr), (new.security_ptr, new.props_ptr), "{path}");
            assert_eq!((old.update_seq, old.compacted_seq), (new.update_seq, new.compacted_seq), "{path}");
            assert_eq!((new.revs_limit, new.purge_infos_limit), (17, 18), "{path}");
            assert_eq!(new.uuid.as_deref(), Some(UUID), "{path}");
            assert_eq!(new.epochs[0].node, "new@127.0.0.9", "{path}");
            assert_eq!(new.epochs[0].seq, new.update_seq, "{path}");

            let mut locals = content::locals(&before)?;
            let all = locals.len();
            locals.retain(|id, _| keep(id.as_bytes()));
            dropped += all - locals.len();
            assert_eq!(content::locals(&after)?, locals, "{path}");
        }
    }
    assert!(dropped > 100, "{dropped}");
    Ok(())
}
