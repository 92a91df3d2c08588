//! What every CouchDB that is installed wrote, restored to every one of them.
//!
//! `COUCHDB_HOMES` names the installations; without it these are the one of the other tests and those in `/opt/couchdb-*`.
//! Where one only is installed it is source and target. docs/versions.md has a table of what was run.

mod pair;
mod source;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Installation, skipped};

use pair::{Target, Way};
use source::Source;

/// Saves what the CouchDB of this number writes, and restores it to all in all ways. Where there are not so many, there is nothing
/// to do; each of them has a test of its own, since these can run side by side.
fn from(number: usize) -> Result<()> {
    let installed = Installation::find_all()?;
    let Some(couchdb) = installed.get(number) else {
        if number == 0 {
            skipped("no CouchDB is installed");
        }
        return Ok(());
    };
    let source = Source::make(couchdb)?;
    let mut failed = Vec::new();
    for couchdb in &installed {
        let target = Target { source: &source, couchdb };
        for way in Way::ALL {
            let what = format!("{} -> {}: {}", source.version, couchdb.version()?, way.name());
            match target.check_way(way) {
                Ok(()) => println!("{what}: no differences"),
                Err(e) => {
                    println!("{what}: {e}");
                    failed.push(format!("{what}: {e}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

macro_rules! sources {
    ($($name:ident: $number:literal,)*) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                from($number)
            }
        )*

        #[test]
        fn there_is_a_test_for_every_installation() -> Result<()> {
            let tests = [$($number),*].len();
            let installed = Installation::find_all()?.len();
            assert!(installed <= tests, "{installed} installations, {tests} tests");
            Ok(())
        }
    };
}

sources! {
    from_the_oldest: 0,
    from_the_second: 1,
    from_the_third: 2,
    from_the_fourth: 3,
    from_the_fifth: 4,
    from_the_sixth: 5,
    from_the_seventh: 6,
    from_the_eighth: 7,
}
