//! A command on a node fails, or the connection breaks.

use couchcopy_tests::Result;
use couchcopy_tests::faults::numbers;
use couchcopy_tests::live::Reach;
use couchcopy_tests::managers::find_program;
use couchcopy_tests::transport::Faulty;

use super::arena::{Arena, Remedy};

fn check(how: &str, step: usize) -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Ssh)? else { return Ok(()) };
    let Some(ssh) = find_program("ssh", "openssh-client") else { return Ok(()) };
    let ssh = Faulty::new(&arena.site.path("faulty"), Some(&ssh))?;
    for k in numbers(step) {
        ssh.arm(k, how)?;
        let ended = arena.restore(&[], &ssh.variables())?;
        let Some(hit) = ssh.hit() else {
            assert_eq!(ended.code, Some(0), "{ended:#?}");
            assert!(k > 30, "a restore has more than {k} commands");
            return arena.check_new();
        };
        let named = |e| format!("command {k}, {hit}: {e}\n{ended:#?}");
        println!("command {k}, {hit}: {:?}", ended.code);
        match ended.code {
            Some(0) if how == "vanish" => arena.mend(Remedy::Resume).map_err(named)?,
            Some(0) => arena.check_new().map_err(named)?,
            Some(code @ 5..=9) if ended.stderr.contains("rolling back failed too") => {
                println!("  half done, {code}");
                arena.mend(Remedy::of(k)).map_err(named)?;
            }
            // The new data is good, but not every node knows it.
            Some(3) => arena.mend(Remedy::of(k)).map_err(named)?,
            // It could not even be seen where they stand.
            Some(_) if how == "vanish" => arena.mend(Remedy::of(k)).map_err(named)?,
            Some(5..=9) => arena.check_old().map_err(named)?,
            _ => return Err(named("neither success nor failure".into()).into()),
        }
    }
    Ok(())
}

#[test]
fn any_command_is_refused() -> Result<()> {
    check("refuse", 31)
}

#[test]
fn any_command_fails() -> Result<()> {
    check("fail", 37)
}

/// From one moment on no node can be reached any more, until the next couchcopy comes.
#[test]
fn all_nodes_vanish() -> Result<()> {
    check("vanish", 35)
}

/// It is carried out, but nobody hears of it.
#[test]
fn the_answer_to_any_command_is_lost() -> Result<()> {
    check("lose", 33)
}
