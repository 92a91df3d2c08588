//! Clocks of machines that are an hour apart.

use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::isolated::ended;
use couchcopy_tests::lab::{Ended, binary, skipped};

use super::data::Data;
use super::place::Place;

/// Runs the command with another time.
fn at(place: &Place, offset: &str, arguments: &[&str]) -> Result<Ended> {
    let binary = binary()?.display().to_string();
    let words = [&["-f", offset, &binary], arguments].concat();
    ended(&mut place.couchcopy.program("faketime", &words)?)
}

fn has_faketime() -> bool {
    let found = Command::new("faketime")
        .args(["-f", "+0s", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        skipped("no faketime");
    }
    found
}

/// In a directory: a store refuses requests whose clock is wrong.
#[test]
fn nothing_is_lost_where_clocks_are_an_hour_apart() -> Result<()> {
    if !has_faketime() {
        return Ok(());
    }
    for offset in ["+1h", "-1h"] {
        let (place, data) = (Place::folder()?, Data::new(2, 300)?);
        place.init(&[])?;
        for number in 0..6 {
            data.grow(number, 50_000)?;
            let backup = ["backup", "--repo", &place.repo, &data.node()];
            if number % 2 == 0 {
                place.couchcopy.expect(0, &backup)?;
            } else {
                let ended = at(&place, offset, &backup)?;
                assert_eq!(ended.code, Some(0), "{ended:?}");
            }
            let prune = ["repo", "prune", "--grace", "30m", &place.repo];
            let ended = at(&place, offset, &prune)?;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            place.couchcopy.expect(0, &prune)?;
            place.check()?;
        }
        assert_eq!(place.ids()?.len(), 6);
        place.verify_all()?;
        place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "2", &place.repo])?;
        for _ in 0..2 {
            let ended = at(&place, offset, &["repo", "prune", "--grace", "0s", &place.repo])?;
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        place.verify_all()?;
        place.backup(&data.node())?;
        place.verify_all()?;
        place.assert_prunes_clean()?;
    }
    Ok(())
}
