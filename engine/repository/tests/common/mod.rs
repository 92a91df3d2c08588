//! A repository in a temporary directory, and files that behave like those of a CouchDB.

#![allow(dead_code, unreachable_pub)] // Not every test uses all of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use archive::{EntryInfo, EntrySource, Facts, FileStat, Glance, LargeSink, Opened, Seen, Visitor};
use couchfile::read_at::ReadAt as _;
use encryption::{Identities, KeyPair, Recipients};
use outcome::Failure;
use repository::{
    Access, Added, Finish, Init, OpenSnapshot, Repository, SnapshotOptions, SnapshotWriter, Trust,
};
use store::{Bucket, Directory, Keys};
use tempfile::TempDir;

pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A repository.
pub struct Place {
    folder: TempDir,
    secret: Option<PathBuf>,
}

impl Place {
    pub fn new(encrypted: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("repository"))?;
        let (recipients, texts, secret) = if encrypted {
            let pair = KeyPair::generate();
            let path = folder.path().join("offline.txt");
            std::fs::write(&path, &*pair.secret())?;
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            (Recipients::gather(&[pair.public()], &[], None)?, vec![pair.public()], Some(path))
        } else {
            (Recipients::default(), Vec::new(), None)
        };
        let place = Self { folder, secret };
        let access = place.access(true, true)?;
        repository::init(&Init {
            access,
            recipients,
            recipient_texts: texts,
            host: "here".into(),
            object_lock: None,
        })?;
        Ok(place)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn access(&self, offline: bool, host: bool) -> Result<Access> {
        let directory = Directory::new(Bucket::folder(&self.path())?, "");
        let identities = match self.secret.as_ref().filter(|_| offline) {
            Some(path) => Identities::gather(std::slice::from_ref(path), None)?,
            None => Identities::default(),
        };
        let keys = Arc::new(Keys { identities, ..Keys::default() });
        let name = if host { "host.key" } else { "none.key" };
        Ok(Access {
            directory,
            keys,
            host_key: Some(self.folder.path().join(name)),
            trust: Trust::Listed,
            keeps_copies: true,
            reporter: None,
        })
    }

    pub fn host_key(&self) -> PathBuf {
        self.folder.path().join("host.key")
    }

    /// With the offline key.
    pub fn repository(&self) -> Result<Repository> {
        Ok(Repository::open(self.access(true, true)?)?)
    }

    pub fn as_host(&self) -> Result<Repository> {
        Ok(Repository::open(self.access(false, true)?)?)
    }

    /// With the offline key, and the key of another machine.
    pub fn with_key(&self, host_key: &Path) -> Result<Repository> {
        let access = self.access(true, true)?;
        Ok(Repository::open(Access { host_key: Some(host_key.to_owned()), ..access })?)
    }

    pub fn as_stranger(&self) -> Result<Repository> {
        Ok(Repository::open(self.access(false, false)?)?)
    }

    /// Makes a backup as the host.
    pub fn backup(&self, disk: &Disk, complete: bool) -> Result<Added> {
        let repository = self.as_host()?;
        let writer = SnapshotWriter::begin(&repository, SnapshotOptions::new(vec!["n@h".into()]))?;
        save(writer, disk, complete)
    }

    pub fn objects(&self) -> Result<Vec<PathBuf>> {
        let (mut files, mut folders) = (Vec::new(), vec![self.path()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        Ok(files)
    }

    pub fn bytes(&self) -> Result<u64> {
        self.objects()?.iter().map(|path| Ok(path.metadata()?.len())).sum()
    }
}

/// Adds all files. The backup is not ended.
pub fn add(writer: &mut SnapshotWriter, disk: &Disk) -> Result<()> {
    Ok(writer.add_all_waiting(disk.sources().into_iter(), &|_| {}, &|| {})?)
}

pub fn save(mut writer: SnapshotWriter, disk: &Disk, complete: bool) -> Result<Added> {
    add(&mut writer, disk)?;
    let finish =
        |_| Ok(Finish { record: serde_json::json!({"files": 1}), databases: 1, documents: None, complete });
    Ok(writer.finish_with(finish)?.ok_or("nothing was added")?)
}

/// Files.
#[derive(Default, Clone)]
pub struct Disk {
    files: BTreeMap<String, (Vec<u8>, FileStat)>,
    inodes: u64,
    clock: i64,
}

impl Disk {
    fn stat(&mut self, length: usize, inode: Option<u64>) -> FileStat {
        self.clock += 1;
        if inode.is_none() {
            self.inodes += 1;
        }
        FileStat {
            length: length as u64,
            changed: self.clock,
            device: 1,
            inode: inode.unwrap_or(self.inodes),
        }
    }

    /// Writes a file, as another one if there is one.
    pub fn set(&mut self, name: &str, content: Vec<u8>) {
        let stat = self.stat(content.len(), None);
        self.files.insert(name.to_owned(), (content, stat));
    }

    /// As a compaction does.
    pub fn replace(&mut self, name: &str, content: Vec<u8>) {
        self.set(name, content);
    }

    pub fn append(&mut self, name: &str, more: &[u8]) {
        let Some((mut content, stat)) = self.files.remove(name) else { return };
        content.extend_from_slice(more);
        let stat = self.stat(content.len(), Some(stat.inode));
        self.files.insert(name.to_owned(), (content, stat));
    }

    pub fn touch(&mut self, name: &str) {
        self.append(name, &[]);
    }

    pub fn remove(&mut self, name: &str) {
        self.files.remove(name);
    }

    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.iter().map(|(name, (content, _))| (name.clone(), content.clone())).collect()
    }

    /// The names and stats of all files, in the order of a backup.
    pub fn stats(&self) -> Vec<(String, Option<FileStat>)> {
        self.sources().into_iter().map(|source| (source.name, Some(source.stat))).collect()
    }

    fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = self
            .files
            .iter()
            .map(|(name, (content, stat))| Source {
                name: name.clone(),
                content: content.clone(),
                stat: *stat,
            })
            .collect();
        sources.sort_by_key(|source| (source.name != "metadata.yaml", source.name.clone()));
        sources
    }
}

struct Source {
    name: String,
    content: Vec<u8>,
    stat: FileStat,
}

impl EntrySource for Source {
    fn glance(&self) -> Option<Glance> {
        Some(Glance { name: self.name.clone(), stat: Some(self.stat) })
    }

    fn keep(self, memo: Option<&[u8]>) {
        assert_eq!(memo, Some(self.name.as_bytes()));
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let Self { name, content, stat } = self;
        let facts = Facts::Shard {
            db: "a".into(),
            range: String::new(),
            suffix: String::new(),
            node: None,
            uuid: Some("u".into()),
            seq: 0,
            purge_seq: 0,
            // Files of small documents are stored in other parts.
            docs: if name.contains("tiny") { content.len() as u64 / 100 } else { 1 },
            deleted: 0,
            header: 0,
        };
        let seen = Some(Seen { stat, memo: Some(name.clone().into_bytes().into()) });
        if content.len() > 1 << 20 {
            return Ok(Opened::Large { name, mtime: 1, facts, seen, data: Box::new(content) });
        }
        *buf = content;
        Ok(Opened::Small { name, mtime: 1, facts, seen })
    }
}

/// All files, opened one by one.
pub fn content_of(backup: &OpenSnapshot) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut contents = BTreeMap::new();
    for file in backup.files() {
        let file = file?;
        let found = backup.find(&file.name)?.ok_or("it is listed, but not found")?;
        assert_eq!(found, file);
        let name = file.name.clone();
        let open = backup.open_file(file)?;
        let mut content = vec![0; open.len() as usize];
        open.read_exact_at(&mut content, 0)?;
        contents.insert(name, content);
    }
    Ok(contents)
}

/// All files, as a visitor gets them.
pub fn visited(backup: &OpenSnapshot, threads: usize) -> Result<BTreeMap<String, Vec<u8>>> {
    let all = All::default();
    backup.visit(threads, &|_| true, &all)?;
    Ok(all.0.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Default)]
struct All(Mutex<BTreeMap<String, Vec<u8>>>);

struct Sink<'a> {
    all: &'a All,
    name: String,
    content: Mutex<Vec<u8>>,
}

impl Visitor for All {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<(), Failure> {
        let before = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(entry.name.to_owned(), content.to_vec());
        assert!(before.is_none());
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>, Failure> {
        let content = Mutex::new(vec![0; entry.size as usize]);
        Ok(Some(Box::new(Sink { all: self, name: entry.name.to_owned(), content })))
    }
}

impl LargeSink for Sink<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&self, blake3: &archive::Hash) -> Result<(), Failure> {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(blake3::hash(&content), *blake3);
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.clone(), content);
        Ok(())
    }
}

/// The path of something in a repository.
pub fn below(place: &Place, key: &str) -> PathBuf {
    Path::new(&place.path()).join(key)
}

/// The names of all objects in a folder.
pub fn names_in(place: &Place, folder: &str) -> Result<Vec<String>> {
    let folder = below(place, folder);
    let objects = place.objects()?.into_iter().filter(|path| path.starts_with(&folder));
    Ok(objects.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
}
