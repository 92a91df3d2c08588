//! What several threads find in a file is what one thread finds.

mod common;

use common::{attachment, body};
use couchfile::check::{Report, check_with};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;

/// A database with trees of several levels, some attachments, local documents and purges.
fn database(documents: usize) -> Vec<u8> {
    let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("a".repeat(32), "node@host")).unwrap();
    for i in 0..documents {
        let id = format!("{:06}{}", i * 7919 % documents, "é".repeat(i % 30));
        let mut body: NewBody = body(&json!({"i": i, "text": "x".repeat(i % 500)}));
        if i % 50 == 0 {
            body.attachments.push(attachment("a", 3000));
        }
        writer.add(&NewDocument::first(id.as_bytes(), body)).unwrap();
        if i % 10 == 0 {
            writer.add_purge(&format!("{i:032x}"), id.as_bytes(), &[(1, vec![7; 16])]);
        }
    }
    writer.finish().unwrap()
}

/// Everything of a report that does not depend on which problems come first.
fn facts(report: Result<Report, CouchFileError>) -> Result<(Vec<u64>, Vec<String>), String> {
    let report = report.map_err(|e| e.to_string())?;
    let counts = vec![
        report.documents,
        report.deleted,
        report.leaves,
        report.bodies,
        report.attachments,
        report.attachment_bytes,
        report.local_documents,
        report.purges,
        report.problem_count,
    ];
    let mut problems = report.problems;
    // More are not described, and which ones are depends on the order.
    if report.problem_count > problems.len() as u64 {
        problems.clear();
    }
    problems.sort();
    Ok((counts, problems))
}

fn compare<R: ReadAt + Copy>(bytes: R, how: &str) -> bool {
    let Ok(database) = Database::open(bytes) else { return false };
    let alone = facts(check_with(&database, None, 1));
    for threads in [2, 3, 8] {
        assert_eq!(facts(check_with(&database, None, threads)), alone, "{threads} threads, {how}");
    }
    alone.is_ok_and(|(_, problems)| !problems.is_empty())
}

#[test]
fn intact_files_of_any_size() {
    for documents in [1, 2, 30, 400, 4000] {
        let bytes = database(documents);
        assert!(!compare(bytes.as_slice(), &format!("{documents} documents")));
    }
}

#[test]
fn damaged_files() {
    let original = database(4000);
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
    let mut found = 0;
    for case in 0..120 {
        let mut bytes = original.clone();
        // The last quarter has most of the inner nodes.
        let at = if case % 2 == 0 {
            bytes.len() * 3 / 4 + below(bytes.len() / 4 - 8192)
        } else {
            below(bytes.len() - 8192)
        };
        let how = match below(3) {
            0 => {
                bytes[at] ^= 1 << below(8);
                format!("a bit of {at} flipped")
            }
            1 => {
                bytes[at..at + 64].fill(0xff);
                format!("64 bytes at {at} overwritten")
            }
            _ => {
                bytes[at..at + 4096].fill(0);
                format!("4096 zeros at {at}")
            }
        };
        found += usize::from(compare(bytes.as_slice(), &how));
    }
    assert!(found > 30, "{found}");
}
