//! Every request to a store fails, once or from then on, in every way.

use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};
use couchcopy_tests::faults::distance;

use super::data::Data;
use super::place::{Place, STORE};

/// Faults that pass.
fn temporary() -> Vec<Fault> {
    Fault::temporary(Duration::from_millis(100))
}

const FOR_EVER: usize = 100_000;
const DENIED: Fault = Fault::Error(403, "AccessDenied");

/// A repository in a store, and a proxy in front of it.
fn setting(bucket: &str) -> Result<Option<(Place, FaultProxy)>> {
    let (Some(place), Some(store)) = (Place::store(bucket)?, &*STORE) else { return Ok(None) };
    let proxy = FaultProxy::start(&store.endpoint())?;
    Ok(Some((place, proxy)))
}

#[test]
fn every_request_of_a_backup_fails_once() -> Result<()> {
    let Some((place, proxy)) = setting("repository-backup-faults")? else { return Ok(()) };
    let data = Data::new(2, 200)?;
    place.init(&[])?;
    place.backup(&data.node())?;
    let mut tried = 0;
    for number in 0.. {
        let mut is_hit = true;
        for (which, fault) in temporary().into_iter().enumerate() {
            if !(which + number as usize).is_multiple_of(distance(2)) {
                continue;
            }
            let about = format!("{fault:?} at request {number}");
            data.grow(number, 10_000)?;
            let through = place.through(&proxy)?;
            proxy.fault_at(number as usize, fault);
            let ended = through.run(&["backup", "--repo", &place.repo, &data.node()])?;
            is_hit = proxy.faults_left() == 0;
            proxy.clear_faults();
            if !is_hit {
                break;
            }
            assert_eq!(ended.code, Some(0), "{about}: one fault was not survived: {ended:?}");
            place
                .couchcopy
                .expect(0, &["verify", &place.of("latest")])
                .map_err(|error| format!("{about}: {error}"))?;
            tried += 1;
        }
        if !is_hit {
            break;
        }
        place.backup(&data.node()).map_err(|error| format!("after request {number}: {error}"))?;
        place.check().map_err(|error| format!("after request {number}: {error}"))?;
        assert_eq!(place.objects("intents")?, Vec::<String>::new(), "request {number}");
    }
    assert!(tried >= 15 * temporary().len() / distance(2), "{tried}");
    place.verify_all()?;
    place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "3", &place.repo])?;
    place.assert_prunes_clean()?;
    place.verify_all()
}

#[test]
fn a_backup_is_refused_from_a_request_on() -> Result<()> {
    let Some((place, proxy)) = setting("repository-backup-refused")? else { return Ok(()) };
    let data = Data::new(2, 200)?;
    place.init(&[])?;
    place.backup(&data.node())?;
    let (mut refused, mut unfinished) = (0, 0);
    for number in 0.. {
        data.grow(number, 10_000)?;
        let through = place.through(&proxy)?;
        let before = place.ids()?.len();
        proxy.fault_from(number as usize, FOR_EVER, DENIED);
        let ended = through.run(&["backup", "--repo", &place.repo, &data.node()])?.unwrapped();
        let is_hit = proxy.faults_left() < FOR_EVER;
        proxy.clear_faults();
        if !is_hit {
            break;
        }
        place.check().map_err(|error| format!("after request {number}: {error}"))?;
        let after = place.ids()?.len();
        if ended.code == Some(0) {
            // Only the note that it was being made is left.
            unfinished += after - before;
        } else {
            let says = |code: &str| ended.stderr.contains(code);
            assert!(says("CC-O") || says("CC-Q18"), "request {number}: {ended:?}");
            refused += 1;
            // Nobody was allowed to withdraw what was written last.
            assert!(after <= before + 1, "request {number}");
        }
        place.backup(&data.node()).map_err(|error| format!("after request {number}: {error}"))?;
        place.couchcopy.expect(0, &["verify", &place.of("latest")])?;
    }
    assert!(refused >= 12 && unfinished <= 1, "{refused} refused, {unfinished} made");
    place.verify_all()?;
    place.assert_prunes_clean()?;
    place.verify_all()
}

#[test]
fn a_prune_is_refused_from_a_request_on() -> Result<()> {
    let Some((place, proxy)) = setting("repository-prune-refused")? else { return Ok(()) };
    let data = Data::new(2, 200)?;
    place.init(&[])?;
    place.backup(&data.node())?;
    for grace in ["24h", "0s"] {
        let mut tried = 0;
        for number in 0.. {
            let about = format!("--grace {grace}, request {number}");
            data.replace(number)?;
            place.backup(&data.node())?;
            place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "2", &place.repo])?;
            let through = place.through(&proxy)?;
            proxy.fault_from(number as usize, FOR_EVER, DENIED);
            let ended = through.run(&["repo", "prune", "--grace", grace, &place.repo])?;
            let is_hit = proxy.faults_left() < FOR_EVER;
            proxy.clear_faults();
            place.check().map_err(|error| format!("{about}: {error}"))?;
            if !is_hit {
                assert_eq!(ended.code, Some(0), "{about}: {ended:?}");
                break;
            }
            assert_ne!(ended.code, Some(0), "{about}: {ended:?}");
            tried += 1;
            // Backups go on, and the next prunes complete what was begun.
            data.grow(number, 5_000)?;
            place.backup(&data.node()).map_err(|error| format!("{about}: {error}"))?;
            place
                .couchcopy
                .expect(0, &["verify", &place.of("latest")])
                .map_err(|error| format!("{about}: {error}"))?;
            place.assert_prunes_clean().map_err(|error| format!("{about}: {error}"))?;
        }
        assert!(tried >= 5, "{tried}");
    }
    place.verify_all()
}

#[test]
fn an_expire_is_refused_from_a_request_on() -> Result<()> {
    let Some((place, proxy)) = setting("repository-expire-refused")? else { return Ok(()) };
    let data = Data::new(2, 200)?;
    place.init(&[])?;
    place.backup(&data.node())?;
    let mut tried = 0;
    for number in 0.. {
        data.grow(number, 5_000)?;
        place.backup(&data.node())?;
        let through = place.through(&proxy)?;
        let expire = ["repo", "expire", "--keep-last", "1", &place.repo];
        proxy.fault_from(number as usize, FOR_EVER, DENIED);
        let ended = through.run(&expire)?;
        let is_hit = proxy.faults_left() < FOR_EVER;
        proxy.clear_faults();
        place.verify_all().map_err(|error| format!("request {number}: {error}"))?;
        if !is_hit {
            assert_eq!(ended.code, Some(0), "{ended:?}");
            break;
        }
        assert_ne!(ended.code, Some(0), "request {number}: {ended:?}");
        tried += 1;
        place.couchcopy.expect(0, &expire)?;
        assert_eq!(place.ids()?.len(), 1, "request {number}");
    }
    assert!(tried >= 4, "{tried}");
    place.assert_prunes_clean()
}

#[test]
fn a_restore_is_right_or_refused() -> Result<()> {
    let Some((place, proxy)) = setting("repository-restore-faults")? else { return Ok(()) };
    let data = Data::new(2, 700)?;
    place.init(&[])?;
    place.backup(&data.node())?;
    data.grow(0, 2_000_000)?;
    place.backup(&data.node())?;
    let latest = place.of("latest");
    let right = place.couchcopy.restored(&latest, &[])?;
    let mut tried = 0;
    for number in 0.. {
        let mut is_hit = true;
        for fault in temporary().into_iter().chain([Fault::GarbleBody]) {
            let about = format!("{fault:?} at request {number}");
            proxy.fault_at(number, fault);
            let files = place.through(&proxy)?.restored(&latest, &[]);
            is_hit = proxy.faults_left() == 0;
            proxy.clear_faults();
            if !is_hit {
                break;
            }
            match files {
                Ok(files) => assert!(files == right, "{about}: other files"),
                Err(error) => assert_eq!(fault, Fault::GarbleBody, "{about}: {error}"),
            }
            tried += 1;
        }
        if !is_hit {
            break;
        }
    }
    assert!(tried >= 7 * 7, "{tried}");
    Ok(())
}
