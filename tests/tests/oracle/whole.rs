//! Every file of the fixtures is whole, and every document lies in the range of its shard.

use couchcopy_tests::{Result, content, fixtures};
use couchfile::check::{Placement, check};
use couchfile::data_dir::DataFile;
use couchfile::read_at::ReadAt;

#[test]
fn every_database_file_is_whole() -> Result<()> {
    let (folders, _alive) = super::all_data_folders()?;
    let mut sum = couchfile::check::Report::default();
    let mut files = 0;
    for folder in folders {
        let maps = content::shard_maps(&folder)?;
        for path in &fixtures::files_ending(&folder, "couch")? {
            let placement = match DataFile::parse(path) {
                Some(DataFile::Shard(shard)) => {
                    let partitioned = maps[&shard.db].is_partitioned();
                    Some(Placement { range: shard.range, partitioned })
                }
                _ => None,
            };
            let file = content::open(&folder.join(path))?;
            let report = check(&file, placement)?;
            assert!(report.is_whole(), "{path}: {:?}", report.problems);
            assert_eq!((report.documents, report.deleted), file.counts()?, "{path}");
            assert_eq!(file.header_end(), file.source().len(), "{path}");
            sum.leaves += report.leaves;
            sum.bodies += report.bodies;
            sum.attachments += report.attachments;
            sum.local_documents += report.local_documents;
            sum.purges += report.purges;
            files += 1;
        }
    }
    assert!(files > 180, "{files}");
    assert!(sum.leaves > 20_000 && sum.bodies >= sum.leaves, "{} {}", sum.leaves, sum.bodies);
    assert!(sum.attachments > 10 && sum.local_documents > 100 && sum.purges > 10, "{sum:?}");
    Ok(())
}

#[test]
fn a_document_in_the_wrong_range_is_found() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let shard = "shards/00000000-7fffffff/plain.1795355232.couch";
    let file = content::open(&cluster.nodes[0].data.join(shard))?;
    let placement = Placement { range: "80000000-ffffffff".parse()?, partitioned: false };
    let report = check(&file, Some(placement))?;
    assert_eq!(report.problem_count, file.counts()?.0);
    assert!(report.problems[0].contains("does not belong into the range"), "{:?}", report.problems);

    // Without its property, a partitioned database seems to be misplaced.
    let shard = "shards/00000000-7fffffff/parts.1795355233.couch";
    let file = content::open(&cluster.nodes[0].data.join(shard))?;
    let placement = |partitioned| -> Result<_> {
        Ok(Some(Placement { range: "00000000-7fffffff".parse()?, partitioned }))
    };
    assert!(check(&file, placement(true)?)?.is_whole());
    assert!(!check(&file, placement(false)?)?.is_whole());
    Ok(())
}
