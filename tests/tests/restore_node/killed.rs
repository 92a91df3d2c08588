//! couchcopy is killed after any of its steps.

use couchcopy_tests::Result;
use couchcopy_tests::faults::{numbers, try_all};
use couchcopy_tests::live::Reach;

use super::arena::{Arena, KILL};

#[test]
fn killed_after_any_step_it_can_go_on_and_back() -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Here)? else { return Ok(()) };
    for k in numbers(4) {
        let flags = if try_all() {
            vec!["--roll-back", "--resume"]
        } else {
            vec![["--roll-back", "--resume"][k % 2]]
        };
        for flag in flags {
            let ended = arena.bring_back(&[], &[(KILL, &k.to_string())])?;
            let step =
                ended.stderr.lines().rfind(|line| line.starts_with("step ")).unwrap_or("no step").to_owned();
            match ended.code {
                None => {}
                Some(0) => {
                    assert!(k > 8, "it has more than {k} steps");
                    return arena.check();
                }
                Some(_) => return Err(format!("it was to be killed or to succeed: {ended:#?}").into()),
            }
            println!("step {k}: {step}: {:?}, so {flag}", arena.site.situations()?);
            let ended = arena.couchcopy(&["restore", "-y", "-v", flag], &[])?;
            let is_over =
                ["there is no unfinished restore", "old data is being removed", "has no old data any more"];
            match ended.code {
                Some(0) => {}
                Some(5) if is_over.iter().any(|text| ended.stderr.contains(text)) => {}
                _ => return Err(format!("{flag} after step {k}: {ended:#?}").into()),
            }
            arena.check().map_err(|e| format!("killed after step {k}, then {flag}: {e}"))?;
        }
    }
    Ok(())
}
