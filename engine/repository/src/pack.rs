//! Packs: many compressed pieces in one object.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use couchfile::read_at::{ReadAt, check_range};
use encryption::DecryptedSource;
use lru::LruCache;
use outcome::{Failure, Lock as _};
use store::Directory;

use crate::error::{RepositoryError, Result};
use crate::manifest::{PackInfo, PackTable};
use crate::names::PackName;
use crate::piece;
use crate::record::Piece;
use crate::repository::Repository;

/// How a pack begins.
const MAGIC: &[u8; 8] = b"CCPACK1\n";
/// A pack that has so many bytes is complete.
const PACK: usize = 16 << 20;
/// Packs that are uploaded at once.
const UPLOADS: usize = 3;

/// Takes pieces from several threads, and uploads full packs.
pub(crate) struct PackWriter {
    current: Mutex<Option<Filling>>,
    sender: Mutex<Option<SyncSender<Filling>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

/// A pack that is not complete.
struct Filling {
    name: PackName,
    bytes: Vec<u8>,
    content: u64,
}

#[derive(Default)]
struct Shared {
    done: Mutex<Vec<PackInfo>>,
    failed: Mutex<Option<Failure>>,
}

impl PackWriter {
    pub(crate) fn new(repository: &Repository) -> Self {
        let (sender, receiver) = sync_channel(0);
        let receiver = Arc::new(Mutex::new(receiver));
        let shared = Arc::new(Shared::default());
        let threads = (0..UPLOADS)
            .map(|_| {
                let (repository, receiver, shared) =
                    (repository.clone(), Arc::clone(&receiver), Arc::clone(&shared));
                std::thread::spawn(move || upload_all(&repository, &receiver, &shared))
            })
            .collect();
        Self {
            current: Mutex::default(),
            sender: Mutex::new(Some(sender)),
            threads: Mutex::new(threads),
            shared,
        }
    }

    /// Adds an encoded piece of `content` bytes. Waits while too many packs are being uploaded.
    pub(crate) fn add(&self, encoded: &[u8], content: u64) -> Result<Piece> {
        let mut current = self.current.locked();
        if let Some(failure) = self.shared.failed.locked().take() {
            return Err(failure);
        }
        let filling = if let Some(filling) = &mut *current {
            filling
        } else {
            let mut bytes = Vec::with_capacity(PACK + (2 << 20));
            bytes.extend_from_slice(MAGIC);
            current.insert(Filling { name: PackName::new()?, bytes, content: 0 })
        };
        let piece =
            Piece { pack: filling.name, offset: filling.bytes.len() as u64, length: encoded.len() as u32 };
        filling.bytes.extend_from_slice(encoded);
        filling.content += content;
        if filling.bytes.len() >= PACK
            && let Some(full) = current.take()
        {
            self.send(full)?;
        }
        Ok(piece)
    }

    fn send(&self, full: Filling) -> Result<()> {
        let sender = self.sender.locked().clone();
        match sender.map(|sender| sender.send(full)) {
            Some(Ok(())) => Ok(()),
            _ => Err(RepositoryError::Bug("a pack was completed after the end").into()),
        }
    }

    /// Uploads what is left, and waits until everything is there. Returns the new packs.
    pub(crate) fn finish(&self) -> Result<Vec<PackInfo>> {
        if let Some(last) = self.current.locked().take() {
            self.send(last)?;
        }
        drop(self.sender.locked().take());
        for thread in std::mem::take(&mut *self.threads.locked()) {
            thread.join().map_err(|_| RepositoryError::Bug("an upload panicked"))?;
        }
        match self.shared.failed.locked().take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut *self.shared.done.locked())),
        }
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        drop(self.sender.locked().take());
        for thread in std::mem::take(&mut *self.threads.locked()) {
            let _ = thread.join();
        }
    }
}

fn upload_all(repository: &Repository, receiver: &Mutex<Receiver<Filling>>, shared: &Shared) {
    loop {
        let next = receiver.locked().recv();
        let Ok(full) = next else { return };
        if shared.failed.locked().is_some() {
            continue;
        }
        match upload(repository, full) {
            Ok(info) => shared.done.locked().push(info),
            Err(failure) => {
                shared.failed.locked().get_or_insert(failure);
            }
        }
    }
}

fn upload(repository: &Repository, full: Filling) -> Result<PackInfo> {
    let Filling { name, bytes, content } = full;
    let (key, plain) = (name.key(), bytes.len() as u64);
    let sealed = repository.seal_data(&repository.directory().name_of(&key), bytes)?;
    let blake3 = blake3::hash(&sealed).to_hex().to_string();
    let size = sealed.len() as u64;
    let head =
        encryption::head(&sealed).filter(|_| repository.is_encrypted()).map(|head| STANDARD.encode(head));
    repository.directory().put_once(&key, sealed)?;
    Ok(PackInfo { name, blake3, size, plain, content, used: 0, head })
}

/// The most bytes of a pack that are read at once.
const MOST_READ: u64 = 9 << 20;
/// Packs that are kept open.
const OPEN: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Pieces that are kept, decompressed: 32 MiB or a little more.
const PIECES: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Reads pieces.
pub(crate) struct PackReader {
    repository: Repository,
    table: Arc<PackTable>,
    open: Mutex<LruCache<PackName, Arc<dyn ReadAt>>>,
    kept: Mutex<LruCache<Piece, Arc<Vec<u8>>>>,
}

impl PackReader {
    pub(crate) fn new(repository: &Repository, table: Arc<PackTable>) -> Self {
        Self {
            repository: repository.clone(),
            table,
            open: Mutex::new(LruCache::new(OPEN)),
            kept: Mutex::new(LruCache::new(PIECES)),
        }
    }

    /// An open pack, decrypted.
    fn open(&self, name: PackName) -> Result<Arc<dyn ReadAt>> {
        if let Some(pack) = self.open.locked().get(&name) {
            return Ok(Arc::clone(pack));
        }
        let key = name.key();
        let object = self.repository.directory().name_of(&key);
        let damaged = |problem: &str| RepositoryError::damaged(&object, problem);
        let info = self.table.get(name).ok_or_else(|| damaged("no manifest describes it"))?;
        let source: Arc<dyn ReadAt> =
            Arc::new(Remote { directory: self.repository.directory().clone(), key, size: info.size });
        let pack: Arc<dyn ReadAt> = match self.repository.data_key()? {
            None => source,
            Some(pair) => {
                let head = info.head.as_deref().map(|head| STANDARD.decode(head)).transpose();
                let head =
                    head.map_err(|_| damaged("the manifest has no valid head of it"))?.unwrap_or_default();
                let opened = DecryptedSource::with_head(source, &object, &pair.identity(), &head);
                Arc::new(opened.map_err(|error| self.explain(name, error.into()))?)
            }
        };
        if pack.len() != info.plain {
            return Err(damaged("it has another length than is recorded").into());
        }
        self.open.locked().put(name, Arc::clone(&pack));
        Ok(pack)
    }

    /// Says of a failure to read a pack whether it is missing.
    fn explain(&self, name: PackName, failure: Failure) -> Failure {
        let key = name.key();
        match self.repository.directory().head(&key) {
            Ok(None) => RepositoryError::Missing {
                object: self.repository.directory().name_of(&key),
                needed_by: "the backup".into(),
            }
            .into(),
            Ok(Some(found)) if self.table.get(name).is_some_and(|info| info.size != found.size) => {
                let problem = format!(
                    "it has {} bytes in place of {}",
                    found.size,
                    self.table.get(name).map_or(0, |info| info.size)
                );
                RepositoryError::damaged(self.repository.directory().name_of(&key), problem).into()
            }
            _ => failure,
        }
    }

    /// The content of a piece, `size` bytes.
    pub(crate) fn piece(&self, piece: Piece, size: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.pieces(&[(piece, size)], &mut |_, one| {
            content = one;
            Ok(())
        })?;
        Ok(content)
    }

    /// The contents of several pieces, each with its size, in any order, with few requests. `take` gets the number of a piece.
    pub(crate) fn pieces(
        &self,
        wanted: &[(Piece, u64)],
        take: &mut dyn FnMut(usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|number| wanted.get(*number).map(|(piece, _)| (piece.pack, piece.offset)));
        let mut at = 0;
        while let Some(first) = order.get(at).and_then(|number| wanted.get(*number)).map(|(piece, _)| *piece)
        {
            // As many as lie close together.
            let (mut end, mut useful, mut count) = (first.offset, 0, 0);
            for (piece, _) in order.iter().skip(at).filter_map(|number| wanted.get(*number)) {
                let piece_end = piece.offset.saturating_add(u64::from(piece.length));
                let span = piece_end.saturating_sub(first.offset);
                useful += u64::from(piece.length);
                if piece.pack != first.pack || (count > 0 && (span > useful * 2 || span > MOST_READ)) {
                    break;
                }
                (end, count) = (end.max(piece_end), count + 1);
            }
            let bytes = self.read(first.pack, first.offset, end)?;
            for number in order.iter().skip(at).take(count) {
                let Some((piece, size)) = wanted.get(*number) else { continue };
                let start = (piece.offset - first.offset) as usize;
                let encoded = bytes.get(start..start + piece.length as usize).unwrap_or_default();
                let content = piece::decode(encoded, *size as usize).map_err(|problem| {
                    RepositoryError::damaged(
                        self.name_of(piece.pack),
                        format!("at byte {}: {problem}", piece.offset),
                    )
                })?;
                take(*number, content)?;
            }
            at += count.max(1);
        }
        Ok(())
    }

    fn read(&self, name: PackName, from: u64, to: u64) -> Result<Vec<u8>> {
        let pack = self.open(name)?;
        if to > pack.len() {
            return Err(RepositoryError::damaged(self.name_of(name), "a piece lies beyond its end").into());
        }
        let mut bytes = vec![0; (to - from) as usize];
        pack.read_exact_at(&mut bytes, from).map_err(|error| {
            let failure = match error.downcast::<Failure>() {
                Ok(failure) => failure,
                Err(error) => Failure::io("read", self.name_of(name), error),
            };
            self.explain(name, failure)
        })?;
        Ok(bytes)
    }

    /// As [`Self::piece`], for a piece that is likely to be wanted again.
    pub(crate) fn shared_piece(&self, piece: Piece, size: u64) -> Result<Arc<Vec<u8>>> {
        if let Some(content) =
            self.kept.locked().get(&piece).filter(|content| content.as_slice().len() as u64 == size)
        {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(self.piece(piece, size)?);
        self.kept.locked().put(piece, Arc::clone(&content));
        Ok(content)
    }

    /// Whether packs are files of this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.repository.directory().is_local()
    }

    /// What messages call a pack.
    pub(crate) fn name_of(&self, name: PackName) -> String {
        self.repository.directory().name_of(&name.key())
    }
}

impl fmt::Debug for PackReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackReader").finish_non_exhaustive()
    }
}

/// An object of known length, each read of which is one request.
struct Remote {
    directory: Directory,
    key: String,
    size: u64,
}

impl ReadAt for Remote {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.size, buf.len(), offset)?;
        Ok(self.directory.read_range(&self.key, buf, offset)?)
    }
}
