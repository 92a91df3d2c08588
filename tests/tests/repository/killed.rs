//! A backup that is killed leaves the repository as it was, but for what a prune removes.

use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::random::SplitMix;

use super::data::Data;
use super::place::Place;

const TIMES: u64 = 20;

#[test]
fn the_next_backup_is_made_after_one_was_killed() -> Result<()> {
    for place in Place::each("killed")? {
        let data = Data::new(3, 700)?;
        place.init(&[])?;
        place.backup(&data.node())?;
        let mut random = SplitMix(1);
        // How long a backup takes that has something to store.
        data.grow(0, 1_200_000)?;
        let begun = Instant::now();
        place.backup(&data.node())?;
        let mut usual = begun.elapsed();
        let (mut killed, mut made) = (0, 2);
        for number in 1..=TIMES {
            data.grow(number, 1_200_000)?;
            let mut backup = place.couchcopy.command(&["backup", "--repo", &place.repo, &data.node()])?;
            let mut backup =
                backup.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
            std::thread::sleep(Duration::from_micros(random.below(usual.as_micros() as usize) as u64));
            let is_running = backup.try_wait()?.is_none();
            backup.kill()?;
            backup.wait()?;
            if is_running {
                killed += 1;
            } else {
                // The machine had more to do when the time was taken.
                usual = usual * 3 / 4;
            }
            // It may have been made at the last moment.
            let there = place.ids()?.len();
            assert!(there == made || there == made + 1, "{there} backups in place of {made}");
            place.backup(&data.node())?;
            made = there + 1;
            place.check()?;
        }
        assert!(killed >= 5, "only {killed} were killed before they ended");
        place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "4", &place.repo])?;
        place.verify_all()?;
        place.assert_prunes_clean()?;
        place.verify_all()?;
    }
    Ok(())
}
