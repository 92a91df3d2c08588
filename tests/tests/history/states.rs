//! Older states in the files of a backup.

use std::path::Path;

use couchcopy_tests::Result;
use serde_json::Value;

use super::arena::{Arena, Changes, Content, content};

/// A database at the end of a round.
struct Noted {
    update_seq: String,
    content: Content,
}

fn note(arena: &Arena, db: &str) -> Result<Noted> {
    let update_seq = arena.http().get(&format!("/{db}"))?["update_seq"].clone();
    let update_seq = update_seq.as_str().ok_or("no sequence")?.to_owned();
    Ok(Noted { update_seq, content: content(arena.http(), db)? })
}

fn text(path: &Path) -> Result<&str> {
    Ok(path.to_str().ok_or("a path that is no text")?)
}

/// 1,000 documents over 20 rounds: every round can be read as it was, until a compaction.
#[test]
fn every_state_that_a_file_reaches_is_what_it_was() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    let http = arena.http();
    http.put("/shop", &Value::Null)?;
    let mut changes = Changes::new(20_261_129, 1000);
    changes.fill(http, "shop")?;
    let mut noted = vec![note(&arena, "shop")?];
    for _ in 0..20 {
        changes.round(http, "shop", 100)?;
        noted.push(note(&arena, "shop")?);
    }
    let archive = arena.back_up("backup.tar.gz")?;
    for (round, Noted { update_seq, content }) in noted.iter().enumerate() {
        let found = arena.dumped(&archive, "shop", &["--at-seq", update_seq])?;
        assert!(found == *content, "round {round}: {} documents, not {}", found.len(), content.len());
    }
    // The states are listed, down to the creation.
    let path = text(&archive)?;
    let lines = arena.lines(&["history", path, "shop", "--json"])?;
    let ends: Vec<&Value> = lines.iter().filter(|line| line.get("begins_with").is_some()).collect();
    assert_eq!(ends.len(), 2, "one for each shard");
    assert!(ends.iter().all(|end| end["begins_with"] == "creation" && end["oldest"] == 0), "{ends:?}");
    let states = lines.iter().filter(|line| line.get("offset").is_some()).count();
    assert!(states > 2 * 20, "{states} states");
    // By the sequence of each shard, a round is the same.
    let round = &noted[7];
    let mut at = Vec::new();
    for range in ["00000000-7fffffff", "80000000-ffffffff"] {
        let path = ends.iter().find_map(|end| end["shard"].as_str().filter(|path| path.contains(range)));
        let file = arena.cluster.nodes[0].data.join(path.ok_or("no such shard")?);
        let states = arena.lines(&["history", text(&file)?, "--json"])?;
        assert!(states.len() > 20, "the file by itself: {}", states.len());
        at.push(format!("--at-seq={range}={}", shard_seq(&round.update_seq, range)?));
    }
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    assert!(arena.dumped(&archive, "shop", &at)? == round.content);
    let refused = arena.refused("CC-H03", &["dump", path, "shop", at[0]])?;
    assert!(refused.contains("80000000-ffffffff=NUMBER"), "{refused}");
    arena.refused("CC-H02", &["dump", path, "shop", "--at-seq=00000000-7fffffff=99999999", at[1]])?;
    arena.refused("CC-H05", &["dump", path, "shop", "--at=2026-11-27"])?;
    arena.refused("CC-H08", &["dump", path, "shop", "--at=yesterday"])?;
    arena.refused("CC-H01", &["dump", path, "shop", "--at-seq=newest"])?;
    arena.refused("CC-X28", &["ls", path, "--at-seq=5"])?;

    // Restored from an older state, every leaf is what it was.
    let node = arena.node();
    arena.couchcopy(&["restore", "--db=shop=then", "--at-seq", &round.update_seq, path, &node])?.success()?;
    assert!(content(http, "then")? == round.content);

    // A compaction removes older states, and that is said.
    arena.compact("shop")?;
    let compacted = arena.back_up("compacted.tar.gz")?;
    let path = text(&compacted)?;
    assert!(arena.dumped(&compacted, "shop", &[])? == noted[20].content);
    assert!(arena.dumped(&compacted, "shop", &["--at-seq", &noted[20].update_seq])? == noted[20].content);
    let refused = arena.refused("CC-H07", &["dump", path, "shop", "--at-seq", &noted[7].update_seq])?;
    assert!(refused.contains("a compaction removed what was before"), "{refused}");
    let listed = arena.couchcopy(&["history", path, "shop"])?.success()?;
    assert!(listed.contains("The file reaches back to sequence"), "{listed}");
    changes.round(http, "shop", 100)?;
    let again = arena.back_up("again.tar.gz")?;
    assert!(arena.dumped(&again, "shop", &["--at-seq", &noted[20].update_seq])? == noted[20].content);
    Ok(())
}

/// The sequence of one range in an opaque sequence.
fn shard_seq(update_seq: &str, range: &str) -> Result<u64> {
    let ranges = couchfile::packed_seq::unpack(update_seq)?;
    let found = ranges.iter().find(|found| found.range.to_string() == range);
    Ok(found.ok_or("no such range")?.seq)
}

/// Copies and databases number their changes each for itself.
#[test]
fn a_sequence_of_another_copy_is_refused() -> Result<()> {
    let Some(arena) = Arena::new(1)? else { return Ok(()) };
    let http = arena.http();
    let mut sequences = Vec::new();
    for db in ["one", "two"] {
        http.put(&format!("/{db}"), &Value::Null)?;
        Changes::new(7, 30).fill(http, db)?;
        sequences.push(note(&arena, db)?);
    }
    let archive = arena.back_up("backup.tar.gz")?;
    let path = text(&archive)?;
    arena.refused("CC-H04", &["dump", path, "one", "--at-seq", &sequences[1].update_seq])?;
    assert!(arena.dumped(&archive, "one", &["--at-seq=30"])? == sequences[0].content);
    assert!(arena.dumped(&archive, "one", &["--at-seq=0"])?.is_empty());
    Ok(())
}
