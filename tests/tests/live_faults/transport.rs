//! The way to the nodes cuts off, doubles or delays what goes through it, or adds to it, and ends with exit code 0.

use couchcopy_tests::Result;
use couchcopy_tests::faults::numbers;
use couchcopy_tests::lab::Ended;
use couchcopy_tests::live::Reach;
use couchcopy_tests::managers::find_program;
use couchcopy_tests::transport::{FAULTS, Faulty, Tally};

use super::arena::{Arena, Remedy};
use super::killed::KILL;

struct Place {
    arena: Arena,
    way: Faulty,
    tally: Tally,
}

/// What came of one fault.
enum Met {
    /// Nothing went through that could have been lost.
    Nothing,
    /// The command has fewer calls.
    TooFar,
    /// It was hit: this command.
    Hit(String),
}

impl Met {
    /// What is to be counted; `None`: there are no more calls.
    fn outcome(self, outcome: &str) -> Option<String> {
        match self {
            Self::TooFar => None,
            Self::Nothing => Some("nothing to lose".into()),
            Self::Hit(command) => {
                println!("  {command}");
                Some(outcome.into())
            }
        }
    }
}

impl Place {
    fn new() -> Result<Option<Self>> {
        let Some(arena) = Arena::new(Reach::Ssh)? else { return Ok(None) };
        let Some(ssh) = find_program("ssh", "openssh-client") else { return Ok(None) };
        let way = Faulty::new(&arena.site.path("faulty"), Some(&ssh))?;
        Ok(Some(Self { arena, way, tally: Tally::default() }))
    }

    /// Runs couchcopy with a fault.
    fn run(&self, arguments: &[&str], call: usize, fault: &str) -> Result<(Ended, Met)> {
        self.way.arm(call, fault)?;
        let ended = self.arena.couchcopy(arguments, &self.way.variables())?;
        self.met(ended, call)
    }

    fn met(&self, ended: Ended, call: usize) -> Result<(Ended, Met)> {
        let met = match self.way.hit() {
            Some(hit) => Met::Hit(hit),
            None if self.way.calls()? < call => Met::TooFar,
            None => Met::Nothing,
        };
        Ok((ended, met))
    }

    /// Tries faults, each day others, until there are no more calls.
    fn try_all(
        &mut self,
        what: &str,
        step: usize,
        attempt: impl Fn(&mut Self, usize, &str) -> Result<Option<String>>,
    ) -> Result<()> {
        for number in numbers(step) {
            let (call, fault) = ((number - 1) / FAULTS.len() + 1, FAULTS[(number - 1) % FAULTS.len()]);
            match attempt(self, call, fault).map_err(|e| format!("{what}, {fault} of call {call}: {e}"))? {
                None => break,
                Some(outcome) => {
                    println!("{fault} of call {call}: {outcome}");
                    self.tally.count(outcome);
                }
            }
        }
        self.tally.print(what);
        Ok(())
    }

    /// The cluster after something that should have made it new, and was hit.
    fn judge(&mut self, ended: &Ended, number: usize) -> Result<&'static str> {
        match ended.code {
            Some(0) => self.arena.check_new().map(|()| "restored"),
            Some(3) => self.arena.mend(Remedy::of(number)).map(|()| "restored, not written down everywhere"),
            Some(5..=9) if ended.stderr.contains("rolling back failed too") => {
                self.arena.mend(Remedy::of(number)).map(|()| "unfinished, and said so")
            }
            Some(5..=9) => self.arena.check_old().map(|()| "failed, with the old data in place"),
            _ => Err("neither success nor failure".into()),
        }
        .map_err(|e: Box<dyn std::error::Error + Send + Sync>| format!("{e}\n{ended:#?}").into())
    }
}

#[test]
fn restores() -> Result<()> {
    let Some(mut place) = Place::new()? else { return Ok(()) };
    place.try_all("restore", 97, |place, call, fault| {
        place.way.arm(call, fault)?;
        let ended = place.arena.restore(&[], &place.way.variables())?;
        let (ended, met) = place.met(ended, call)?;
        let outcome = place.judge(&ended, call)?;
        Ok(met.outcome(outcome))
    })
}

/// In the middle of the exchange couchcopy is killed; going on, or going back, is hit then.
fn mending(remedy: Remedy, step: usize) -> Result<()> {
    let Some(mut place) = Place::new()? else { return Ok(()) };
    let middle = place.arena.step_before("exchanged")?.parse::<usize>()? + 1;
    place.try_all(remedy.flag(), step, |place, call, fault| {
        let killed = place.arena.restore(&[], &[(KILL, &middle.to_string())])?;
        assert_eq!(killed.code, None, "{killed:#?}");
        let (ended, met) = place.run(&["restore", "-y", "-v", remedy.flag()], call, fault)?;
        let named = |e| format!("{e}\n{ended:#?}");
        let outcome = if ended.code == Some(0) {
            place.arena.mended(remedy, &ended).map_err(named)?;
            "done"
        } else if remedy == Remedy::Resume && !ended.stderr.contains("rolling back failed too") {
            // What failed was undone, or nothing was done yet.
            if place.arena.site.situations()?.iter().all(|situation| situation == "untouched") {
                place.arena.check_either().map_err(named)?;
                "failed and undone"
            } else {
                place.arena.mend(Remedy::RollBack).map_err(named)?;
                "failed, brought back by the next one"
            }
        } else {
            assert!(matches!(ended.code, Some(3 | 5..=9)), "{ended:#?}");
            place.arena.mend(Remedy::RollBack).map_err(named)?;
            "failed, brought back by the next one"
        };
        Ok(met.outcome(outcome))
    })
}

#[test]
fn going_on() -> Result<()> {
    mending(Remedy::Resume, 131)
}

#[test]
fn going_back() -> Result<()> {
    mending(Remedy::RollBack, 83)
}

#[test]
fn checks() -> Result<()> {
    let Some(mut place) = Place::new()? else { return Ok(()) };
    place.try_all("check", 13, |place, call, fault| {
        let (ended, met) = place.run(&["check"], call, fault)?;
        let outcome = match ended.code {
            Some(0) => "fine",
            Some(3) => "a problem is reported",
            Some(5..=9) => "failed",
            _ => return Err(format!("{ended:#?}").into()),
        };
        place.arena.check_old().map_err(|e| format!("{e}\n{ended:#?}"))?;
        Ok(met.outcome(outcome))
    })
}

#[test]
fn cleaning() -> Result<()> {
    let Some(mut place) = Place::new()? else { return Ok(()) };
    place.try_all("clean", 53, |place, call, fault| {
        place.arena.restore(&["--keep-old"], &[])?.success()?;
        let (ended, met) = place.run(&["clean", "-v"], call, fault)?;
        let outcome = if ended.code == Some(0) {
            place.arena.site.check_nothing_left().map_err(|e| format!("{e}\n{ended:#?}"))?;
            "cleaned"
        } else {
            assert!(matches!(ended.code, Some(5..=9)), "{ended:#?}");
            place.arena.couchcopy(&["clean"], &[])?.success()?;
            place.arena.site.check_nothing_left()?;
            "failed, cleaned by the next one"
        };
        place.arena.check_new().map_err(|e| format!("{e}\n{ended:#?}"))?;
        Ok(met.outcome(outcome))
    })
}
