//! Random damage of files with known content. Every damage comes from a number: `SALVAGE_SEED` begins with another one,
//! `SALVAGE_DAMAGES` tries more of them.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use couchfile::blocks::{BLOCK, Blocks, physical_len};
use couchfile::btree::Key;
use couchfile::compression::Compression;
use couchfile::database::Database;
use couchfile::document::{DocInfo, Encoding};
use couchfile::writer::{DatabaseWriter, NewAttachment, NewBody, NewDocument, Settings};

use crate::{Copy, DocumentLine, Grade, Output, Shard, ShardReport, salvage_shard};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// What a revision holds: deleted, body as a term, attachments by name.
type Content = (bool, Vec<u8>, BTreeMap<String, Vec<u8>>);

/// A leaf: its revision, what it holds, itself and its ancestors.
type Leaf = (String, Content, Vec<String>);

/// A database of which everything is known.
struct Original {
    /// Every revision that ever was, by document and revision: its content and its parent.
    revisions: HashMap<(Vec<u8>, String), (Content, Option<String>)>,
    /// The winning revision of each document.
    winners: BTreeMap<Vec<u8>, String>,
    documents: Vec<NewDocument>,
}

fn rev(generation: u64, id: &[u8]) -> String {
    format!("{generation}-{}", couchfile::revtree::RevId(id))
}

/// Documents of all kinds: many of equal size, many revisions, conflicts, deletions, attachments, equal bodies.
fn original(seed: u64, count: usize) -> Original {
    let mut random = Random(seed);
    let mut documents = Vec::new();
    for i in 0..count {
        let body = |n: u64, deleted: bool, attachments: Vec<NewAttachment>| {
            let json = match i % 5 {
                0 => serde_json::json!({}),
                1 => serde_json::json!({"n": n % 10, "text": "the same length"}),
                2 => serde_json::json!({"n": n, "long": "x".repeat((n % 700) as usize)}),
                _ => serde_json::json!({"n": 100_000 + n % 900_000, "list": [1, 2, 3], "i": i}),
            };
            NewBody { term: couchfile::ejson::encode_json(&json).unwrap(), deleted, attachments }
        };
        let attachments = |random: &mut Random| {
            (0..usize::from(i % 9 == 0) + usize::from(i % 27 == 0))
                .map(|a| {
                    let data = (0..random.below(9000)).map(|_| random.next() as u8).collect::<Vec<u8>>();
                    NewAttachment {
                        name: format!("a{a}"),
                        content_type: "application/octet-stream".into(),
                        original_len: data.len() as u64,
                        data,
                        revpos: 1,
                        encoding: Encoding::Identity,
                    }
                })
                .collect::<Vec<_>>()
        };
        let id = format!("doc-{i:04}").into_bytes();
        let first = attachments(&mut random);
        let mut document = NewDocument::first(&id, body(random.next(), i % 31 == 30, first));
        for r in 0..random.below(4) {
            let more = attachments(&mut random);
            let deleted = i % 13 == 12 && r == 2;
            document.edit(r, body(random.next(), deleted, more)).unwrap();
        }
        // The same edit again would be the same revision.
        if i % 11 == 10 && i % 5 > 1 && document.revisions.len() > 1 {
            document.edit(0, body(random.next(), false, Vec::new())).unwrap();
        }
        documents.push(document);
    }
    let mut revisions = HashMap::new();
    let mut winners = BTreeMap::new();
    for document in &documents {
        let has_child = |n: usize| document.revisions.iter().any(|r| r.parent == Some(n));
        let mut best = None;
        for (n, revision) in document.revisions.iter().enumerate() {
            let body = revision.body.as_ref().unwrap();
            let attachments = body.attachments.iter().map(|a| (a.name.clone(), a.data.clone())).collect();
            let content = (body.deleted, body.term.clone(), attachments);
            let parent = revision.parent.map(|p| &document.revisions[p]).map(|p| rev(p.generation, &p.id));
            let name = rev(revision.generation, &revision.id);
            revisions.insert((document.id.clone(), name.clone()), (content, parent));
            if !has_child(n) {
                best = best.max(Some((!body.deleted, revision.generation, revision.id.clone(), name)));
            }
        }
        winners.insert(document.id.clone(), best.unwrap().3);
    }
    Original { revisions, winners, documents }
}

/// The file: all revisions with their bodies, in an order of its own.
fn file(original: &Original, order: u64, compression: Compression) -> Vec<u8> {
    let settings = Settings { compression, ..Settings::new(format!("{order:032x}"), "a@b") };
    let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
    let mut random = Random(order);
    let mut documents: Vec<&NewDocument> = original.documents.iter().collect();
    for i in (1..documents.len()).rev() {
        documents.swap(i, random.below(i + 1));
    }
    for document in documents {
        writer.add(document).unwrap();
    }
    writer.finish().unwrap()
}

/// Where the chunks lie that a document's winning revision is made of: both entries, body, attachments.
fn chunks(file: &[u8]) -> BTreeMap<Vec<u8>, Vec<(u64, u64)>> {
    let mut chunks: BTreeMap<Vec<u8>, Vec<(u64, u64)>> = BTreeMap::new();
    let blocks = Blocks::new(file);
    let mut at = 0;
    // Of a file with one header each entry is there once in each tree.
    while let Some(hit) = crate::search::next(&blocks, at).unwrap() {
        let crate::search::Hit::Node { start, end, node } = hit else { break };
        at = end;
        if !node.is_leaf() {
            continue;
        }
        for entry in node.entries() {
            let info = match entry.key {
                Key::Bytes(_) => DocInfo::from_id_tree(&entry).unwrap(),
                Key::Seq(_) => DocInfo::from_seq_tree(&entry).unwrap(),
            };
            chunks.entry(info.id.to_vec()).or_default().push((start, end));
        }
    }
    let database = Database::open(file).unwrap();
    database
        .for_each_document(|info| {
            let stored = info.revisions.as_ref().unwrap().winner().unwrap().stored.unwrap();
            let summary = database.summary(&stored)?;
            let own = chunks.get_mut(info.id).unwrap();
            own.push((stored.summary.unwrap(), stored.summary.unwrap() + stored.sizes.active));
            for piece in summary.attachments.iter().flat_map(|a| &a.pieces) {
                own.push((piece.ptr, piece.ptr + physical_len(piece.ptr, 4 + piece.len.unwrap())));
            }
            Ok::<(), couchfile::CouchFileError>(())
        })
        .unwrap();
    chunks
}

/// Damages a file in one to three ways.
fn damage(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=random.below(3) {
        let unit = if random.below(2) == 0 { BLOCK as usize } else { 512 };
        let units = (bytes.len() / unit).max(1);
        let part = |n: usize, count: usize, length: usize| n * unit..((n + count) * unit).min(length);
        let length = bytes.len();
        match random.below(8) {
            0 => {
                let n = random.below(units);
                bytes[part(n, 1 + random.below(4), length)].fill(0);
            }
            1 => {
                for _ in 0..=random.below(60) {
                    let at = random.below(length);
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            2 => bytes.truncate(length - random.below(length / 3)),
            // A hole: of this file what a MiB is of a larger one.
            3 => {
                let n = random.below(units);
                bytes[part(n, units / 6 + 1, length)].fill(0);
            }
            4 => {
                let (a, b) = (random.below(units), random.below(units));
                if a != b && (a.max(b) + 1) * unit <= length {
                    let (low, high) = (a.min(b), a.max(b));
                    let (left, right) = bytes.split_at_mut(high * unit);
                    left[low * unit..(low + 1) * unit].swap_with_slice(&mut right[..unit]);
                }
            }
            5 => {
                let n = random.below(units);
                bytes[part(n, 1 + random.below(3), length)].fill_with(|| random.next() as u8);
            }
            6 => {
                // A block lies where another one belongs.
                let (from, to) = (random.below(units), random.below(units));
                if (from.max(to) + 1) * unit <= length {
                    bytes.copy_within(from * unit..(from + 1) * unit, to * unit);
                }
            }
            _ => {
                let tail = random.below(units / 8 + 1) * unit;
                bytes[length - tail.min(length)..].fill(0);
            }
        }
        if bytes.len() < 512 {
            break;
        }
    }
    bytes
}

/// A file in memory that is written.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The new files, the proven one first, and the report.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) files: [Option<Shared>; 2],
    pub(crate) lines: BTreeMap<String, DocumentLine>,
}

impl Output for Outcome {
    fn create(&mut self, apart: bool) -> io::Result<Option<Box<dyn Write>>> {
        let file = Shared::default();
        self.files[usize::from(apart)] = Some(file.clone());
        Ok(Some(Box::new(file)))
    }

    fn document(&mut self, line: &DocumentLine) -> io::Result<()> {
        assert!(self.lines.insert(line.id.clone(), line.clone()).is_none(), "{} twice", line.id);
        Ok(())
    }
}

fn salvage(files: &[Vec<u8>]) -> (Outcome, ShardReport) {
    let copies = files
        .iter()
        .enumerate()
        .map(|(i, bytes)| Copy { name: format!("copy {i}"), bytes: Box::new(bytes.clone()) });
    let shard = Shard { path: "x.couch".into(), database: "x".into(), range: None, strict: false };
    let mut outcome = Outcome::default();
    let folder = std::env::temp_dir();
    let report = salvage_shard(&shard, copies.collect(), &folder, &mut outcome, &mut |_| {}).unwrap();
    (outcome, report)
}

/// The leaves of each document in a new file, with what they hold and their ancestors.
fn content(bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<Leaf>> {
    let database = Database::open(bytes).unwrap();
    let report = couchfile::check::check(&database, None).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let mut documents = BTreeMap::new();
    database
        .for_each_document(|info| {
            let tree = info.revisions.as_ref().unwrap();
            let mut leaves = Vec::new();
            for leaf in tree.leaves() {
                let stored = leaf.stored.unwrap();
                let summary = database.summary(&stored)?;
                let mut attachments = BTreeMap::new();
                for attachment in &summary.attachments {
                    let mut data = Vec::new();
                    database.attachment(attachment, |bytes| {
                        data.extend_from_slice(bytes);
                        Ok(())
                    })?;
                    attachments.insert(attachment.name.clone(), data);
                }
                let content = (stored.deleted, summary.body.as_slice().to_vec(), attachments);
                let ancestors = tree.ancestry(leaf).enumerate();
                let ancestors = ancestors.map(|(i, id)| rev(leaf.generation - i as u64, id.0)).collect();
                leaves.push((rev(leaf.generation, leaf.id.0), content, ancestors));
            }
            documents.insert(info.id.to_vec(), leaves);
            Ok::<(), couchfile::CouchFileError>(())
        })
        .unwrap();
    documents
}

/// Compares what was recovered with what there was. Everything in the main file must be right. Gives the documents in it, with
/// the winning revision.
fn compare(original: &Original, outcome: &Outcome, seed: u64) -> (BTreeMap<Vec<u8>, bool>, u64) {
    let main = content(&outcome.files[0].as_ref().unwrap().0.lock().unwrap());
    let mut back = BTreeMap::new();
    for (id, leaves) in &main {
        let name = String::from_utf8_lossy(id).into_owned();
        let line = &outcome.lines[&name];
        for (leaf, content, ancestors) in leaves {
            let Some((right, _)) = original.revisions.get(&(id.clone(), leaf.clone())) else {
                panic!("seed {seed}: {name} {leaf} never was: {line:?}")
            };
            assert_eq!((content.0, &content.1), (right.0, &right.1), "seed {seed}: {name} {leaf}");
            let mut right = right.2.clone();
            if Some(leaf) == line.rev.as_ref() {
                line.lost_attachments.iter().for_each(|lost| drop(right.remove(lost).unwrap()));
                assert!(content.2 == right, "seed {seed}: attachments of {name}");
            } else {
                assert!(content.2.iter().all(|(name, data)| right.get(name) == Some(data)));
            }
            for pair in ancestors.windows(2) {
                let child = &original.revisions[&(id.clone(), pair[0].clone())];
                assert_eq!(child.1.as_ref(), Some(&pair[1]), "seed {seed}: ancestors of {name}");
            }
        }
        let winner = &original.winners[id];
        match line.grade {
            Grade::Whole | Grade::AttachmentLost if line.newest => {
                assert_eq!(line.rev.as_ref(), Some(winner), "seed {seed}: {name} is not the newest");
            }
            Grade::Whole | Grade::AttachmentLost | Grade::OlderRevision => {}
            _ => panic!("seed {seed}: {line:?} is in the file"),
        }
        back.insert(id.clone(), line.rev.as_ref() == Some(winner) && line.lost_attachments.is_empty());
    }
    let in_main = |line: &&DocumentLine| {
        matches!(line.grade, Grade::Whole | Grade::OlderRevision | Grade::AttachmentLost)
    };
    assert_eq!(outcome.lines.values().filter(in_main).count(), main.len(), "seed {seed}");
    // What nothing proves may be wrong. How often it is says whether it was worth keeping apart.
    let mut wrong = 0;
    if let Some(apart) = &outcome.files[1] {
        for (id, leaves) in content(&apart.0.lock().unwrap()) {
            for (leaf, content, _) in leaves {
                let right = original.revisions.get(&(id.clone(), leaf));
                wrong += u64::from(right.is_none_or(|(right, _)| content.1 != right.1));
            }
        }
    }
    (back, wrong)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn are_intact(ranges: &[(u64, u64)], before: &[u8], after: &[u8]) -> bool {
    ranges.iter().all(|&(from, to)| {
        let (from, to) = (from as usize, (to as usize).min(before.len()));
        after.get(from..to) == Some(&before[from..to])
    })
}

#[test]
fn an_undamaged_file_comes_back_completely() {
    for compression in [Compression::None, Compression::Snappy] {
        let original = original(1, 300);
        let (outcome, report) = salvage(&[file(&original, 3, compression)]);
        let (back, _) = compare(&original, &outcome, 0);
        assert!(back.len() == 300 && back.values().all(|right| *right));
        assert!(report.documents.is_all_whole() && report.copies[0].is_intact(), "{report:?}");
        assert_eq!((report.documents.perhaps_not_newest, report.recorded), (0, Some(300)));
        assert!(outcome.files[1].is_none());
    }
}

/// One file, damaged in a thousand ways: nothing wrong in the file of what is proven, and what is not damaged is in it.
#[test]
fn a_thousand_damages() {
    let (seed, damages) = (number("SALVAGE_SEED", 0), number("SALVAGE_DAMAGES", 1000));
    let bases: Vec<_> =
        [(1, 60, Compression::Snappy), (2, 60, Compression::None), (3, 150, Compression::Snappy)]
            .into_iter()
            .map(|(n, count, compression)| {
                let original = original(n, count);
                let file = file(&original, n, compression);
                let chunks = chunks(&file);
                (original, file, chunks)
            })
            .collect();
    let (mut intact, mut recovered, mut unproven, mut wrong, mut all) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for n in seed..seed + damages {
        let (original, file, chunks) = &bases[(n % 3) as usize];
        let damaged = damage(file, &mut Random(n.wrapping_mul(0x1234_5678_9abc_def1)));
        let (outcome, _) = salvage(std::slice::from_ref(&damaged));
        let (back, wrong_apart) = compare(original, &outcome, n);
        wrong += wrong_apart;
        for (id, ranges) in chunks {
            let is_back = back.get(id) == Some(&true);
            all += u64::from(is_back);
            if are_intact(ranges, file, &damaged) {
                intact += 1;
                recovered += u64::from(is_back);
                let line = outcome.lines.get(&String::from_utf8_lossy(id).into_owned());
                unproven += u64::from(!is_back && line.is_some_and(|line| line.unproven_rev.is_some()));
            }
        }
    }
    eprintln!(
        "{damages} damages: of {intact} documents whose chunks are intact, {recovered} are proven, {unproven} are there but not \
         proven; {all} are proven altogether; {wrong} wrong revisions are among the unproven"
    );
    assert!(recovered * 100 >= intact * 99, "{recovered} of {intact}");
}

/// Three copies, each damaged elsewhere: what is intact in one of them comes back.
#[test]
fn three_copies_damaged_in_different_places() {
    let (seed, damages) = (number("SALVAGE_SEED", 0), number("SALVAGE_DAMAGES", 1000) / 10);
    let original = original(5, 100);
    let files: Vec<Vec<u8>> = (1..=3).map(|order| file(&original, order, Compression::Snappy)).collect();
    let places: Vec<_> = files.iter().map(|file| chunks(file)).collect();
    for n in seed..seed + damages {
        let mut random = Random(n.wrapping_mul(0x7654_3210_fedc_ba95));
        let damaged: Vec<Vec<u8>> = files.iter().map(|file| damage(file, &mut random)).collect();
        let (outcome, _) = salvage(&damaged);
        let (back, _) = compare(&original, &outcome, n);
        for id in original.winners.keys() {
            let is_intact = |copy: usize| are_intact(&places[copy][id], &files[copy], &damaged[copy]);
            if (0..3).any(is_intact) {
                let name = String::from_utf8_lossy(id);
                assert_eq!(back.get(id), Some(&true), "seed {n}: {:?}", outcome.lines.get(&*name));
            }
        }
    }
}
