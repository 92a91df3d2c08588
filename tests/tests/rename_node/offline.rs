//! Nodes are renamed while they are stopped.

use couchcopy_tests::Result;
use couchcopy_tests::faults::numbers;
use couchcopy_tests::lab::{binary, run};
use couchcopy_tests::live::Reach;

use super::arena::{Arena, KILL};

#[test]
fn stopped_nodes_are_renamed_and_not_started() -> Result<()> {
    let Some(mut arena) = Arena::new(2, Reach::Here)? else { return Ok(()) };
    let refused = arena.rename(&["--offline"], &[])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("omit --offline"), "{refused:#?}");
    arena.stop()?;
    arena.configure_other()?;
    let starts = || arena.site.controls.iter().map(|control| control.calls("start")).sum::<usize>();
    let before = starts();
    let told = arena.rename(&["--offline"], &[])?.success()?;
    assert!(told.contains("CouchDB was not started"), "{told}");
    assert_eq!(arena.site.situations()?, ["done", "done"]);
    // And back, and again.
    arena.couchcopy(&["rename-node", "-y", "--roll-back"], &[])?.success()?;
    assert_eq!(arena.site.situations()?, ["untouched", "untouched"]);
    // Without names: those under which CouchDB opened the shard maps last.
    let mut command = arena.site.beside(binary()?.to_str().ok_or("a path that is no text")?);
    command.args(["rename-node", "--offline", "-y"]).args(arena.pairs());
    command.args(arena.site.nodes.iter().map(|node| format!("localhost:1,{}", node.data.display())));
    run(&mut command)?.success()?;
    assert_eq!(starts(), before);
    arena.site.start_nodes()?;
    arena.check_new()
}

#[test]
fn killed_after_any_step_it_can_go_on_and_back() -> Result<()> {
    let Some(mut arena) = Arena::new(2, Reach::Here)? else { return Ok(()) };
    arena.stop()?;
    arena.configure_other()?;
    for k in numbers(3) {
        let ended = arena.rename(&["--offline"], &[(KILL, &k.to_string())])?;
        if ended.code == Some(0) {
            assert!(k > 8, "it has more than {k} steps");
            break;
        }
        assert_eq!(ended.code, None, "{ended:#?}");
        println!("step {k}: {:?}", arena.site.situations()?);
        for flag in ["--resume", "--roll-back"] {
            let ended = arena.couchcopy(&["rename-node", "-y", flag], &[])?;
            assert_eq!(ended.code, Some(0), "{flag} after step {k}: {ended:#?}");
        }
        assert_eq!(arena.site.situations()?, ["untouched", "untouched"]);
    }
    if arena.site.situations()? == ["untouched", "untouched"] {
        arena.rename(&["--offline"], &[])?.success()?;
    }
    arena.site.start_nodes()?;
    arena.check_new()
}
