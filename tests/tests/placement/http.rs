//! Single databases over HTTP (`--db`), which CouchDB creates.

use couchcopy_tests::lab::{Ended, PASSWORD, back_up, binary, run};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::zoned::Zoned;

fn restore(zoned: &Zoned, archive: &str, arguments: &[&str]) -> Result<Ended> {
    let mut command = zoned.site.beside(binary()?.to_str().ok_or("a path that is no text")?);
    let node = zoned.site.nodes[0].url().trim_start_matches("http://").to_owned();
    command.arg("restore").args(arguments).arg(archive).arg(node).env("COUCHCOPY_PASSWORD", PASSWORD);
    Ok(run(&mut command)?.unwrapped())
}

/// The plan tells what CouchDB does; zones that are asked for reach it.
#[test]
fn new_databases_are_where_the_plan_says() -> Result<()> {
    let Some(zoned) = Zoned::start("z1:1,z2:1")? else { return Ok(()) };
    let archive = zoned.site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let archive = archive.display().to_string();

    // The archive has one copy of each range.
    let plan = restore(&zoned, &archive, &["--dry-run", "--db", "plain"])?.success()?;
    assert!(plan.contains("2 ranges, 2 copies of each (placed in z1:1,z2:1)"), "{plan}");
    let plan = restore(&zoned, &archive, &["--dry-run", "--json", "--db", "plain"])?.success()?;
    let plan: Value = serde_json::from_str(&plan)?;
    assert_eq!(
        (&plan["databases"][0]["n"], &plan["databases"][0]["zones"]),
        (&2.into(), &"z1:1,z2:1".into())
    );
    let both = ["--db", "plain", "--db", "q8=eight", "--place", "q8=z1:1,z2:2"];
    restore(&zoned, &archive, &both)?.success()?;
    zoned.check_database("plain", "z1:1,z2:1")?;
    zoned.check_database("eight", "z1:1,z2:2")?;
    let count = zoned.http().get("/plain")?["doc_count"].as_u64();
    assert_eq!(count, fixtures::oracle("single-node")?["plain"]["doc_count"].as_u64());

    for (arguments, code) in [
        (&["--place", "z1:3"][..], "CC-R62"),
        (&["--copies", "3"], "CC-R63"),
        (&["--place", "any"], "CC-R66"),
        (&["--place", "prats=any"], "CC-R61"),
    ] {
        let ended = restore(&zoned, &archive, &[&["--db", "parts"][..], arguments].concat())?;
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains(code), "{ended:?}");
    }
    zoned.set_placement(0, "z1:x")?;
    let ended = restore(&zoned, &archive, &["--db", "parts"])?;
    assert!(ended.code == Some(5) && ended.stderr.contains("CC-R67"), "{ended:?}");
    assert_eq!(zoned.http().ask("GET", "/parts", None)?.status, 404);
    // What is asked for does not depend on the cluster's own placement.
    restore(&zoned, &archive, &["--db", "parts", "--place", "z2:2"])?.success()?;
    zoned.check_database("parts", "z2:2")?;

    // Without a placement, there are as many copies as nodes, at most.
    zoned.remove_placement(0)?;
    let plan = restore(&zoned, &archive, &["--dry-run", "--db", "atts", "--n", "9"])?.success()?;
    assert!(plan.contains("4 copies of each\n"), "{plan}");
    Ok(())
}
