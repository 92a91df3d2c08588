//! The documents of the same file on several nodes. `_dbs.couch` and `_nodes.couch` hold the same documents on all nodes, unless
//! a node was down, or was alone under its new name, when a document changed.

use std::collections::{BTreeMap, HashMap};

use contents::{AnySource, MapDocument, convert_in_order, map_document, unusable};
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::error::CouchFileError;
use couchfile::revtree::RevTree;
use outcome::Result;

/// The documents of a file that several nodes have, each in its newest revision.
///
/// Memory: some 100 bytes for each document while the files are compared, and its id for each document that differs.
pub(super) struct Documents<'d> {
    files: Vec<&'d Database<AnySource>>,
    /// What the file is called.
    what: &'static str,
    /// The file with the newest revision of each document that is not the same in all files; `None` if the newest revision is a
    /// deletion.
    differing: BTreeMap<Vec<u8>, Option<usize>>,
}

/// A document of the first file.
struct Known {
    leaves: Box<[u8]>,
    /// How many other files have the same leaves.
    same: usize,
}

/// The state of a document in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    deleted: bool,
    generation: u64,
    id: Vec<u8>,
}

impl<'d> Documents<'d> {
    /// Compares the files.
    pub(super) fn of(files: Vec<&'d Database<AnySource>>, what: &'static str) -> Result<Self> {
        let failed = |e| unusable(what, e);
        let mut documents = Self { files, what, differing: BTreeMap::new() };
        let Some((first, others)) = documents.files.split_first().filter(|(_, others)| !others.is_empty())
        else {
            return Ok(documents);
        };
        let mut known: HashMap<Box<[u8]>, Known> = HashMap::new();
        first
            .for_each_document(|doc| {
                known.insert(doc.id.into(), Known { leaves: leaves(doc), same: 0 });
                Ok::<(), CouchFileError>(())
            })
            .map_err(failed)?;
        let mut differing: Vec<Vec<u8>> = Vec::new();
        for other in others {
            other
                .for_each_document(|doc| {
                    match known.get_mut(doc.id) {
                        Some(of_first) if *of_first.leaves == *leaves(doc) => of_first.same += 1,
                        // Known ones are found below.
                        Some(_) => {}
                        None => differing.push(doc.id.to_vec()),
                    }
                    Ok::<(), CouchFileError>(())
                })
                .map_err(failed)?;
        }
        let all = others.len();
        differing.extend(
            known.into_iter().filter(|(_, of_first)| of_first.same < all).map(|(id, _)| id.into_vec()),
        );
        for id in differing {
            let newest = documents.newest(&id).map_err(failed)?;
            documents.differing.insert(id, newest);
        }
        Ok(documents)
    }

    /// How many documents are not the same in all files.
    pub(super) fn differing(&self) -> u64 {
        self.differing.len() as u64
    }

    /// The file with the newest revision of a document; `None` if that is a deletion.
    fn newest(&self, id: &[u8]) -> Result<Option<usize>, CouchFileError> {
        let mut states: Vec<(usize, State)> = Vec::new();
        for (i, file) in self.files.iter().enumerate() {
            let state = file.document(id, |doc| Ok(doc.revisions.as_ref().and_then(state)))?.flatten();
            states.extend(state.map(|state| (i, state)));
        }
        // Whoever has edited or deleted a revision of another file knows more than that file.
        let mut current = Vec::new();
        for (i, state) in &states {
            let mut is_past = false;
            for (j, _) in states.iter().filter(|(j, _)| j != i) {
                let edited =
                    |doc: &DocInfo<'_>| Ok(doc.revisions.as_ref().is_some_and(|tree| edits(tree, state)));
                is_past |= self.files[*j].document(id, edited)?.unwrap_or(false);
            }
            if !is_past {
                current.push((*i, state));
            }
        }
        if current.is_empty() {
            current.extend(states.iter().map(|(i, state)| (*i, state)));
        }
        let newest =
            current.into_iter().max_by_key(|(_, state)| (!state.deleted, state.generation, &state.id));
        Ok(newest.filter(|(_, state)| !state.deleted).map(|(i, _)| i))
    }

    /// Calls `convert` for every document that exists, on several threads, and `consume` on this thread with each result.
    pub(super) fn convert<T: Send>(
        &self,
        threads: usize,
        convert: impl Fn(MapDocument) -> T + Sync,
        mut consume: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let Some(first) = self.files.first() else { return Ok(()) };
        let read = |doc: &DocInfo<'_>| {
            if doc.deleted || self.differing.contains_key(doc.id) {
                return Ok(None);
            }
            map_document(first, doc).map(|document| Some(convert(document)))
        };
        convert_in_order(first, threads, self.what, read, &mut consume)?;
        for (id, file) in &self.differing {
            let Some(file) = file.map(|i| self.files[i]) else { continue };
            let document =
                file.document(id, |doc| map_document(file, doc)).map_err(|e| unusable(self.what, e))?;
            if let Some(document) = document {
                consume(convert(document))?;
            }
        }
        Ok(())
    }
}

/// The leaves of a document, as bytes that can be compared.
fn leaves(doc: &DocInfo<'_>) -> Box<[u8]> {
    let mut bytes = Vec::new();
    for leaf in doc.revisions.iter().flat_map(RevTree::leaves) {
        bytes.push(u8::from(leaf.stored.is_some_and(|stored| stored.deleted)));
        bytes.extend_from_slice(&leaf.generation.to_be_bytes());
        bytes.extend_from_slice(&(leaf.id.0.len() as u64).to_be_bytes());
        bytes.extend_from_slice(leaf.id.0);
    }
    bytes.into()
}

/// The winning revision.
fn state(tree: &RevTree<'_>) -> Option<State> {
    let winner = tree.winner()?;
    let deleted = winner.stored.is_some_and(|stored| stored.deleted);
    Some(State { deleted, generation: winner.generation, id: winner.id.0.to_vec() })
}

/// Whether a tree has a later revision of this one.
fn edits(tree: &RevTree<'_>, state: &State) -> bool {
    let is_it = |generation: u64, id: &[u8]| generation == state.generation && *id == *state.id;
    tree.revisions().iter().any(|known| known.children > 0 && is_it(known.generation, known.id.0))
}

#[cfg(test)]
mod tests {
    use couchfile::term::Encoder;
    use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings, random_uuid};

    use super::*;

    fn body(deleted: bool, text: &str) -> NewBody {
        let mut term = Encoder::new();
        term.tuple(1).list(1).tuple(2).binary(b"v").binary(text.as_bytes()).nil();
        NewBody { term: term.finish(), deleted, attachments: Vec::new() }
    }

    /// A document with these revisions one after the other; `-` deletes it.
    fn document(id: &str, revisions: &[&str]) -> NewDocument {
        let mut document = NewDocument::first(id.as_bytes(), body(false, revisions[0]));
        for (i, text) in revisions.iter().enumerate().skip(1) {
            document.edit(i - 1, body(*text == "-", text)).unwrap();
        }
        document
    }

    fn file(documents: &[NewDocument]) -> Database<AnySource> {
        let settings = Settings::new(random_uuid().unwrap(), "a@b");
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        for document in documents {
            writer.add(document).unwrap();
        }
        Database::open(Box::new(writer.finish().unwrap()) as AnySource).unwrap()
    }

    /// Id and generation of what exists.
    fn existing(documents: &Documents<'_>) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        documents
            .convert(
                2,
                |document| (document.id, document.revision.0),
                |found_one| {
                    found.push(found_one);
                    Ok(())
                },
            )
            .unwrap();
        found.sort();
        found
    }

    #[test]
    fn the_newest_revision_of_each_document_is_taken() {
        let one = file(&[
            document("same", &["1"]),
            document("older-here", &["1"]),
            document("newer-here", &["1", "2", "3"]),
            document("deleted-there", &["1"]),
            document("deleted-here", &["1", "-"]),
            document("only-here", &["1"]),
            document("made-again", &["1", "-"]),
        ]);
        let other = file(&[
            document("same", &["1"]),
            document("older-here", &["1", "2"]),
            document("newer-here", &["1"]),
            document("deleted-there", &["1", "-"]),
            document("deleted-here", &["1"]),
            document("only-there", &["1"]),
            document("made-again", &["1", "-", "3"]),
        ]);
        for (files, differing) in
            [(vec![&one, &other], 7), (vec![&other, &one], 7), (vec![&one, &one, &other], 7)]
        {
            let documents = Documents::of(files, "maps").unwrap();
            let wanted = [
                ("made-again", 3),
                ("newer-here", 3),
                ("older-here", 2),
                ("only-here", 1),
                ("only-there", 1),
                ("same", 1),
            ];
            let wanted: Vec<(String, u64)> =
                wanted.iter().map(|(id, rev)| ((*id).to_owned(), *rev)).collect();
            assert_eq!(existing(&documents), wanted);
            assert_eq!(documents.differing(), differing);
        }
    }

    #[test]
    fn files_that_agree_have_no_differences() {
        let one = file(&[document("a", &["1"]), document("b", &["1", "-"])]);
        let documents = Documents::of(vec![&one, &one], "maps").unwrap();
        assert_eq!((documents.differing(), existing(&documents)), (0, vec![("a".into(), 1)]));
        let documents = Documents::of(vec![&one], "maps").unwrap();
        assert_eq!(existing(&documents), [("a".into(), 1)]);
    }
}
