//! couchcopy is killed after any of its steps.

use couchcopy_tests::Result;
use couchcopy_tests::faults::{numbers, try_all};
use couchcopy_tests::lab::Ended;
use couchcopy_tests::live::Reach;

use super::arena::{Arena, KILL};

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Resume,
    RollBack,
}

impl Remedy {
    fn of(number: usize) -> Self {
        if number.is_multiple_of(2) { Self::Resume } else { Self::RollBack }
    }
}

/// Whether a run ended before it was killed.
fn survived(ended: &Ended) -> Result<bool> {
    match ended.code {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(_) => Err(format!("it was to be killed or to succeed: {ended:#?}").into()),
    }
}

fn last_step(ended: &Ended) -> &str {
    ended.stderr.lines().rfind(|line| line.starts_with("step ")).unwrap_or("no step")
}

/// Finishes or undoes what was cut.
fn mend(arena: &mut Arena, remedy: Remedy) -> Result<()> {
    println!("  {:?}, so {remedy:?}", arena.site.situations()?);
    let flag = match remedy {
        Remedy::Resume => "--resume",
        Remedy::RollBack => {
            arena.configure_current()?;
            "--roll-back"
        }
    };
    let ended = arena.couchcopy(&["rename-node", "-y", "-v", flag], &[])?;
    match (remedy, ended.code) {
        (Remedy::Resume, Some(0)) => arena.check_new(),
        (Remedy::RollBack, Some(0)) => arena.check_old(),
        // There was nothing to do any more: it had ended.
        (_, Some(5)) if ended.stderr.contains("there is no unfinished restore") => arena.check_either(),
        // No way back, so it goes forward.
        (Remedy::RollBack, Some(5))
            if ["old data is being removed", "has no old data any more"]
                .iter()
                .any(|text| ended.stderr.contains(text)) =>
        {
            arena.configure_other()?;
            mend(arena, Remedy::Resume)
        }
        _ => Err(format!("{remedy:?}: {ended:#?}").into()),
    }
}

#[test]
fn killed_after_any_step_it_can_go_on_and_back() -> Result<()> {
    let Some(mut arena) = Arena::new(3, Reach::Here)? else { return Ok(()) };
    for k in numbers(9) {
        let remedies = if try_all() { vec![Remedy::RollBack, Remedy::Resume] } else { vec![Remedy::of(k)] };
        for remedy in remedies {
            arena.configure_other()?;
            let ended = arena.rename(&[], &[(KILL, &k.to_string())])?;
            println!("step {k}: {}", last_step(&ended));
            if survived(&ended)? {
                assert!(k > 20, "a renaming has more than {k} steps");
                return arena.check_new();
            }
            mend(&mut arena, remedy).map_err(|e| format!("killed after step {k}, then {remedy:?}: {e}"))?;
        }
    }
    Ok(())
}

/// Going on and going back are killed themselves.
#[test]
fn killed_while_it_mends_it_can_go_on_and_back() -> Result<()> {
    let Some(mut arena) = Arena::new(2, Reach::Here)? else { return Ok(()) };
    for first in ["--roll-back", "--resume"] {
        for j in numbers(5) {
            arena.configure_other()?;
            // One of the nodes has its new files: begun, stopped, staged and decided on both come before.
            let ended = arena.rename(&["--keep-old"], &[(KILL, "9")])?;
            assert_eq!(ended.code, None, "{ended:#?}");
            if first == "--roll-back" {
                arena.configure_current()?;
            }
            let ended = arena.couchcopy(&["rename-node", "-y", "-v", first], &[(KILL, &j.to_string())])?;
            println!("{first} to step {j}: {}", last_step(&ended));
            if survived(&ended)? {
                if first == "--resume" {
                    arena.check_new()?;
                } else {
                    arena.check_old()?;
                }
                break;
            }
            mend(&mut arena, Remedy::RollBack).map_err(|e| format!("{first} killed after {j}: {e}"))?;
        }
    }
    Ok(())
}
