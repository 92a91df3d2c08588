//! The page of `couchcopy serve`, looked at with a real browser by the scripts in `tests/page`.

mod browser;
mod repository;
mod served;
mod shop;

use std::fs;
use std::path::{Path, PathBuf};

use couchcopy_tests::lab::couchcopy;
use couchcopy_tests::{Result, fixtures};
use scale_data::plan::{Attachments, Plan};

use browser::Browser;
use served::Served;

/// More than fit on a page of the list.
const MANY: u64 = 120;

#[test]
fn the_page_works_in_a_browser() -> Result<()> {
    let Some(browser) = Browser::find()? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let served = Served::start(&archives(dir.path())?)?;
    browser.look(&served.page)
}

/// What is looked at: two states of a shop, what a real CouchDB wrote, many databases, an archive of the Python couchcopy, and two
/// repositories.
fn archives(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = fixtures::single_node()?;
    let mut archives = Vec::new();
    for state in ["monday", "tuesday"] {
        let data = dir.join(state);
        shop::write(state, &data)?;
        archives.push(backup(&data, dir, state)?);
    }
    archives.push(backup(&single.nodes[0].data, dir, "single-node")?);
    let plan = Plan {
        databases: MANY,
        empty: 0,
        docs: 1,
        doc_size: 200,
        revisions: 1,
        q: 1,
        copies: 1,
        nodes: vec![shop::NODE.into()],
        seed: 1,
        attachments: Attachments::default(),
    };
    let many = scale_data::build::build(&plan, &dir.join("many"))?;
    archives.push(backup(&many.folders[0].path, dir, "many")?);
    let theirs = dir.join("couchcopy-0.2.4.tar.gz");
    fs::copy(fixtures::path("couchcopy-0.2.4.tar.gz"), &theirs)?;
    archives.push(theirs);
    archives.push(repository::of_shop(dir)?);
    archives.push(repository::of_many(dir, &many.folders[0].path)?);
    Ok(archives)
}

fn backup(data: &Path, dir: &Path, name: &str) -> Result<PathBuf> {
    let archive = dir.join(format!("{name}.tar.gz"));
    let path = archive.to_str().ok_or("a path that is no text")?;
    couchcopy(&["backup", &format!("localhost,{}", data.display()), path])?.success()?;
    Ok(archive)
}
