//! couchcopy is killed after any of its steps.

use couchcopy_tests::Result;
use couchcopy_tests::faults::{numbers, try_all};
use couchcopy_tests::lab::Ended;
use couchcopy_tests::live::Reach;

use super::arena::{Arena, Remedy};

/// Names the step after which couchcopy kills itself.
pub(super) const KILL: &str = "COUCHCOPY_TEST_KILL_AFTER_STEP";

/// Whether a run ended before it was killed.
fn survived(ended: &Ended) -> Result<bool> {
    match ended.code {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(_) => Err(format!("it was to be killed or to succeed: {ended:#?}").into()),
    }
}

#[test]
fn killed_after_any_step_it_can_go_on_and_back() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    for k in numbers(5) {
        let remedies = if try_all() { vec![Remedy::RollBack, Remedy::Resume] } else { vec![Remedy::of(k)] };
        for remedy in remedies {
            let ended = arena.restore(&[], &[(KILL, &k.to_string())])?;
            println!("step {k}: {}", last_step(&ended));
            if survived(&ended)? {
                assert!(k > 14, "a restore has more than {k} steps");
                return arena.check_new();
            }
            arena.mend(remedy).map_err(|e| format!("killed after step {k}, then {remedy:?}: {e}"))?;
        }
    }
    Ok(())
}

/// Going on and going back are killed themselves.
#[test]
fn killed_while_it_mends_it_can_go_on_and_back() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    // In the middle of the exchange, when the new data runs already, and when it was found good.
    let places = if try_all() { vec!["started", "exchanged", "accepted"] } else { vec!["started"] };
    for (i, name) in places.into_iter().enumerate() {
        // One more: one node has begun with it.
        let place = arena.step_before(name)?.parse::<usize>()? + 1;
        for first in [Remedy::RollBack, Remedy::Resume] {
            for j in numbers(6) {
                let ended = arena.restore(&["--keep-old"], &[(KILL, &place.to_string())])?;
                assert_eq!(ended.code, None, "{ended:#?}");
                let again = ["restore", "-y", "-v", first.flag()];
                let ended = arena.couchcopy(&again, &[(KILL, &j.to_string())])?;
                println!("after step {place}, {first:?} to step {j}: {}", last_step(&ended));
                if survived(&ended)? {
                    arena.mended(first, &ended)?;
                    break;
                }
                let second = Remedy::of(i + j);
                let named =
                    |e| format!("killed after step {place}, {first:?} killed after {j}, {second:?}: {e}");
                match second {
                    // Some have been brought back and others not: only back is left.
                    Remedy::Resume => {
                        let ended = arena.couchcopy(&["restore", "-y", "-v", "--resume"], &[])?;
                        if ended.code == Some(5) && ended.stderr.contains("--roll-back") {
                            arena.mend(Remedy::RollBack).map_err(named)?;
                        } else {
                            arena.mended(second, &ended).map_err(named)?;
                        }
                    }
                    Remedy::RollBack => arena.mend(second).map_err(named)?,
                }
            }
        }
    }
    Ok(())
}

/// A restore that was accepted, and whose old data is brought back or removed, is killed meanwhile.
#[test]
fn killed_while_kept_data_comes_back_or_goes() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    for back in [true, false] {
        for j in numbers(4) {
            arena.restore(&["--keep-old"], &[])?.success()?;
            assert_eq!(arena.site.situations()?, ["done", "done"]);
            let arguments: &[&str] =
                if back { &["restore", "-y", "-v", "--roll-back"] } else { &["clean", "-v"] };
            let ended = arena.couchcopy(arguments, &[(KILL, &j.to_string())])?;
            println!("{} to step {j}: {}", arguments[0], last_step(&ended));
            if survived(&ended)? {
                if back {
                    arena.check_old()?;
                } else {
                    arena.check_new()?;
                }
                break;
            }
            arena.mend(Remedy::RollBack).map_err(|e| format!("{arguments:?} killed after step {j}: {e}"))?;
        }
    }
    Ok(())
}

/// Where CouchDB is reached through tunnels alone, they are tried again when it runs: it does not when couchcopy begins to mend.
#[test]
fn killed_while_nodes_are_stopped_tunnels_are_found_again() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Ssh)? else { return Ok(()) };
    let tunnel = ["--tunnel", "always"];
    for (name, remedy) in [("exchanged", Remedy::RollBack), ("started", Remedy::Resume)] {
        let place = arena.step_before(name)?;
        let ended = arena.restore(&tunnel, &[(KILL, &place)])?;
        assert_eq!(ended.code, None, "{ended:#?}");
        let status = arena.couchcopy(&[&["status"][..], &tunnel].concat(), &[])?.success()?;
        assert!(status.contains("does not answer"), "{status}");
        let ended = arena.couchcopy(&[&["restore", "-y", "-v", remedy.flag()][..], &tunnel].concat(), &[])?;
        arena.mended(remedy, &ended).map_err(|e| format!("killed after step {place}: {e}"))?;
    }
    Ok(())
}

fn last_step(ended: &Ended) -> &str {
    ended.stderr.lines().rfind(|line| line.starts_with("step ")).unwrap_or("no step")
}
