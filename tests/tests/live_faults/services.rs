//! CouchDB does not stop, does not start, or does not come up.

use couchcopy_tests::Result;
use couchcopy_tests::live::Reach;

use super::arena::{Arena, Remedy};

/// More often than anybody tries.
const ALWAYS: u32 = 1000;

#[test]
fn a_service_that_does_not_stop_or_start_brings_the_old_data_back() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    for (action, times) in [("stop", 1), ("stop", ALWAYS), ("start", 1)] {
        arena.site.controls[1].fail(action, times)?;
        let ended = arena.restore(&[], &[])?;
        let named = |e| format!("{action} fails {times} times: {e}\n{ended:#?}");
        assert_eq!(ended.code, Some(8), "{ended:#?}");
        assert!(ended.stderr.contains("the old data is back in place"), "{ended:#?}");
        arena.site.controls[1].fail(action, 0)?;
        arena.check_old().map_err(named)?;
    }
    for remedy in [Remedy::RollBack, Remedy::Resume] {
        arena.site.controls[1].fail("start", ALWAYS)?;
        let ended = arena.restore(&[], &[])?;
        assert_eq!(ended.code, Some(8), "{ended:#?}");
        assert!(ended.stderr.contains("rolling back failed too"), "{ended:#?}");
        assert!(ended.stderr.contains("couchcopy status"), "{ended:#?}");
        arena.site.controls[1].fail("start", 0)?;
        arena.mend(remedy)?;
    }
    Ok(())
}

/// A node that is started and does not come up.
#[test]
fn a_node_that_does_not_come_up_in_time_brings_the_old_data_back() -> Result<()> {
    let Some(arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    arena.site.controls[1].hang_once()?;
    let ended = arena.restore(&["--timeout", "4"], &[])?;
    assert_eq!(ended.code, Some(9), "{ended:#?}");
    assert!(ended.stderr.contains("the old data is back in place"), "{ended:#?}");
    assert!(ended.stderr.contains("did not agree in time"), "{ended:#?}");
    arena.check_old()
}
