//! Files as CouchDB 1 wrote them: entries without sizes, sequence trees without revisions, headers that end earlier. They are
//! judged by what they mean.

use couchfile::btree::TreeKind;
use couchfile::check::{Report, check};
use couchfile::compression::Compression;
use couchfile::database::{Database, attachment_md5};
use couchfile::header::{HeaderEdit, TreeState};
use couchfile::term::{Decoder, Encoder};
use couchfile::writer::{Appender, DatabaseWriter, NewDocument, Settings, TreeBuilder};

/// Documents in a file.
const DOCS: u64 = 300;

/// What a file is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    /// 5: CouchDB 0.11 to 1.1, 6: CouchDB 1.2 to 1.6.
    version: u64,
    /// Documents with odd numbers have been written by a later version than the others.
    mixed: bool,
    /// How many deleted documents the sequence tree says are not.
    lies: u64,
    /// Whether a body is overwritten.
    damaged: bool,
}

const FORMS: [Form; 3] = [
    Form { version: 5, mixed: false, lies: 0, damaged: false },
    Form { version: 6, mixed: false, lies: 0, damaged: false },
    Form { version: 6, mixed: true, lies: 0, damaged: false },
];

fn encoded(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    write(&mut encoder);
    encoder.finish()
}

fn tree_state(tree: Option<&TreeState>, encoder: &mut Encoder) {
    match tree {
        None => encoder.atom(b"nil"),
        Some(tree) => encoder.tuple(2).uint(tree.ptr).raw(&tree.reduction),
    };
}

/// Writes a body with an attachment, directly as terms, and gives its place.
fn write_body(out: &mut Appender<Vec<u8>>, i: u64, oldest: bool) -> u64 {
    let data = format!("attachment {i}").into_bytes();
    let piece = out.piece(&data).unwrap();
    let mut summary = Encoder::versioned();
    summary.tuple(2).tuple(1).list(1).tuple(2).binary(b"i").uint(i).nil();
    summary.list(1);
    let len = data.len() as u64;
    if oldest {
        summary
            .tuple(2)
            .binary(b"a")
            .tuple(3)
            .binary(b"text/plain")
            .list(1)
            .tuple(2)
            .uint(piece.ptr)
            .uint(len);
        summary.nil().uint(len);
    } else {
        summary.tuple(6).binary(b"a").binary(b"text/plain").list(1).tuple(2).uint(piece.ptr).uint(len).nil();
        summary.uint(len).uint(1).binary(&attachment_md5(&data));
    }
    summary.nil();
    let bytes = summary.finish();
    out.summary(&bytes).unwrap().ptr
}

fn file(form: Form) -> Vec<u8> {
    let mut out = Appender::new(Vec::new(), 0, Compression::default());
    let (mut ids, mut seqs) = (TreeBuilder::new(TreeKind::Id), TreeBuilder::new(TreeKind::Seq));
    let mut entries = Vec::new();
    for i in 0..DOCS {
        let ptr = write_body(&mut out, i, form.version == 5 && i % 3 == 0);
        let deleted = i % 10 == 9;
        let is_new = form.mixed && i % 2 == 1;
        let rev = [i as u8; 16];
        let tree = encoded(|e| {
            e.list(1).tuple(2).uint(1).tuple(3).binary(&rev);
            if is_new {
                e.tuple(5).uint(u64::from(deleted)).uint(ptr).uint(i + 1).tuple(2).uint(9).uint(8).nil();
            } else {
                e.tuple(3).bool(deleted).uint(ptr).uint(i + 1);
            }
            e.nil().nil();
        });
        let id = format!("doc-{i:05}").into_bytes();
        let in_ids = encoded(|e| {
            match (is_new, form.version) {
                (true, _) => e.tuple(4).uint(i + 1).uint(u64::from(deleted)).tuple(2).uint(9).uint(8),
                (false, 5) => e.tuple(3).uint(i + 1).bool(deleted),
                (false, _) => e.tuple(4).uint(i + 1).uint(u64::from(deleted)).uint(9),
            };
            e.raw(&tree);
        });
        let claimed = deleted && i / 10 >= form.lies;
        let in_seqs = encoded(|e| {
            if is_new {
                e.tuple(4).binary(&id).uint(u64::from(claimed)).tuple(2).uint(9).uint(8).raw(&tree);
            } else if form.version == 5 || form.mixed {
                let list = |e: &mut Encoder, wanted: bool| {
                    e.list(usize::from(wanted));
                    if wanted {
                        e.tuple(3).tuple(2).uint(1).binary(&rev).uint(i + 1).uint(ptr).nil();
                    }
                };
                e.tuple(3).binary(&id);
                list(e, !claimed);
                list(e, claimed);
            } else {
                e.tuple(3).binary(&id).uint(u64::from(claimed)).raw(&tree);
            }
        });
        entries.push((
            encoded(|e| {
                e.binary(&id);
            }),
            in_ids,
            in_seqs,
            i + 1,
        ));
    }
    for (id, in_ids, in_seqs, seq) in &entries {
        ids.push(&mut out, id, in_ids).unwrap();
        seqs.push(
            &mut out,
            &encoded(|e| {
                e.uint(*seq);
            }),
            in_seqs,
        )
        .unwrap();
    }
    let ids = ids.finish(&mut out).unwrap();
    let seqs = seqs.finish(&mut out).unwrap();
    let mut header = Encoder::versioned();
    header.tuple(11).atom(b"db_header").uint(form.version).uint(DOCS).uint(0);
    tree_state(ids.as_ref(), &mut header);
    tree_state(seqs.as_ref(), &mut header);
    header.atom(b"nil").uint(3).atom(b"nil").atom(b"nil").uint(1000);
    out.header(header.as_bytes()).unwrap();
    let mut bytes = out.into_inner();
    if form.damaged {
        let at = bytes.windows(13).position(|window| window == b"attachment 42").unwrap();
        bytes[at] = b'A';
    }
    bytes
}

fn report(form: Form) -> Report {
    check(&Database::open(file(form)).unwrap(), None).unwrap()
}

#[test]
fn old_forms_are_intact_and_their_bodies_are_read() {
    for form in FORMS {
        let report = report(form);
        assert!(report.is_whole(), "{form:?}: {:?}", report.problems);
        assert_eq!((report.documents, report.deleted), (DOCS - DOCS / 10, DOCS / 10), "{form:?}");
        assert_eq!((report.bodies, report.attachments), (DOCS, DOCS), "{form:?}");
    }
}

#[test]
fn damaged_bodies_of_old_forms_are_found() {
    for form in FORMS {
        let report = report(Form { damaged: true, ..form });
        // The oldest form of an attachment has no checksum.
        let expected = u64::from(form.version != 5);
        assert_eq!(report.problem_count, expected, "{form:?}: {:?}", report.problems);
        assert!(report.problems.iter().all(|problem| problem.contains("doc-00042")), "{form:?}");
    }
}

#[test]
fn trees_of_old_forms_that_disagree_are_named() {
    for form in FORMS {
        let report = report(Form { lies: 2, ..form });
        let named = |id: &str| report.problems.iter().any(|p| p.contains(id) && p.contains("disagree"));
        assert!(named("doc-00009") && named("doc-00019"), "{form:?}: {:?}", report.problems);
        assert_eq!(report.problem_count, 2, "{form:?}: {:?}", report.problems);
    }
}

/// A file with a time table where older versions have an unused field, as CouchDB's development version writes.
#[test]
fn a_time_table_stays_and_is_read() {
    let settings = Settings::new("a".repeat(32), "n@h");
    let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
    let body = common::body(&serde_json::json!({"a": 1}));
    writer.add(&NewDocument::first(b"doc", body)).unwrap();
    let plain = writer.finish().unwrap();
    let database = Database::open(plain.clone()).unwrap();
    assert_eq!(database.header().time_seq_ptr, None);

    let with_table = |damaged: bool| {
        let mut out = Appender::new(plain.clone(), plain.len() as u64, Compression::default());
        let mut table = Encoder::versioned();
        table.list(1).tuple(2).uint(1_760_000_000).uint(1).nil();
        let mut ptr = out.term(table.as_bytes()).unwrap().ptr;
        if damaged {
            ptr -= 3;
        }
        let last = database.header().edited(&HeaderEdit::default());
        let mut decoder = Decoder::versioned(&last).unwrap();
        let size = decoder.tuple().unwrap();
        let mut header = Encoder::versioned();
        header.tuple(size);
        for i in 0..size {
            let element = decoder.raw().unwrap();
            if i == 3 {
                header.uint(ptr);
            } else {
                header.raw(element);
            }
        }
        out.header(header.as_bytes()).unwrap();
        (Database::open(out.into_inner()).unwrap(), ptr)
    };
    let (database, ptr) = with_table(false);
    assert_eq!(database.header().time_seq_ptr, Some(ptr));
    assert!(check(&database, None).unwrap().is_whole());
    assert!(!check(&with_table(true).0, None).unwrap().is_whole());

    let header =
        HeaderEdit { uuid: Some("b".repeat(32)), node: Some("other@h".into()), ..HeaderEdit::default() };
    let change = couchfile::edit::Edit { header, keep_local: &|_| true, add_local: &[] };
    let tail = couchfile::edit::edit(&database, &change).unwrap();
    let mut edited = database.source()[..tail.keep as usize].to_vec();
    edited.extend_from_slice(&tail.bytes);
    let edited = Database::open(edited).unwrap();
    assert_eq!(edited.header().time_seq_ptr, Some(ptr));
    assert!(edited.time_seq().unwrap().is_some());
}

mod common;
