//! Running the command with a store, and folders to run it on.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use couchcopy_tests::Result;
pub(crate) use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::object_servers::{S3, SeaweedFs};
use scale_data::plan::{Attachments, Plan};

/// Tests share one store, each with a bucket of its own.
pub(crate) static STORE: LazyLock<Option<SeaweedFs>> = LazyLock::new(SeaweedFs::start);

/// A bucket of the shared store; `None` if no store is installed, which is reported.
pub(crate) fn bucket(name: &str) -> Result<Option<S3>> {
    let Some(store) = &*STORE else { return Ok(None) };
    store.create_bucket(name)?;
    Ok(Some(store.s3()))
}

fn plan(databases: u64, docs: u64, doc_size: u64, q: u32) -> Plan {
    Plan {
        databases,
        empty: 0,
        docs,
        doc_size,
        revisions: 1,
        q,
        copies: 1,
        nodes: vec!["couchdb@127.0.9.90".into()],
        seed: 7,
        attachments: Attachments { per_document: 0, size: 0 },
    }
}

/// Where the data directory of a node with two databases is; each shard takes several parts of an upload.
pub(crate) fn data(folder: &Path) -> Result<PathBuf> {
    let plan = plan(2, 2600, 8192, 1);
    Ok(scale_data::build::build(&plan, &folder.join("data"))?.folders.remove(0).path)
}

/// The same with three small databases.
pub(crate) fn small_data(folder: &Path) -> Result<PathBuf> {
    let plan = plan(3, 10, 500, 2);
    Ok(scale_data::build::build(&plan, &folder.join("data"))?.folders.remove(0).path)
}

/// `localhost,DIR`.
pub(crate) fn node(folder: &Path) -> String {
    format!("localhost,{}", folder.display())
}

/// Everything that a restore of the archive writes, by path: to compare what came from a store with what came from a file.
pub(crate) fn restored(
    couchcopy: &Couchcopy,
    archive: &str,
    more: &[&str],
) -> Result<Vec<(String, Vec<u8>)>> {
    couchcopy.restored(archive, more)
}
