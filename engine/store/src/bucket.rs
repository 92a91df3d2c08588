//! Requests to one bucket.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions};
use tokio::runtime::Runtime;

use crate::connect::Client;
use crate::error::{Said, StoreError, is_temporary, said};
use crate::limits::Limiter;
use crate::location::Service;
use crate::runtime::runtime;
use crate::settings::Settings;

/// How often an answer whose body was cut is asked for again.
const CUT_RETRIES: u32 = 6;
const CUT_BACKOFF: Duration = Duration::from_millis(100);
/// The client repeats a request to a store that does not answer for longer than this. What fails earlier, it does not repeat: an
/// answer that reports an error, and whose body was cut.
const NOT_REPEATED: Duration = Duration::from_secs(1);

/// The result of a request.
type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An object as a store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Identifies the content, if the store says so.
    pub etag: Option<String>,
    /// When it was written, by the store's clock, in seconds since 1970.
    pub modified: i64,
}

impl From<ObjectMeta> for Object {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            key: meta.location.to_string(),
            size: meta.size,
            etag: meta.e_tag,
            modified: meta.last_modified.timestamp(),
        }
    }
}

enum Kind {
    /// A bucket of this name.
    Service(Service, String),
    /// A directory.
    Folder(PathBuf),
}

/// A bucket of a store, or a directory that is used like one.
#[derive(Clone)]
pub struct Bucket {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    kind: Kind,
    pub(crate) client: Client,
    pub(crate) runtime: &'static Runtime,
    bytes: Option<Limiter>,
    requests: Option<Limiter>,
}

impl Bucket {
    /// Prepares requests to a bucket. None is made.
    pub(crate) fn connect(service: Service, name: &str, settings: &Settings) -> Result<Self> {
        let failed = |said| StoreError::new(&format!("{}://{name}", service.scheme()), "connect", said);
        let runtime = runtime().map_err(|error| failed(Said::Other(error.to_string())))?;
        let client = {
            let _inside = runtime.enter();
            Client::new(service, name, settings).map_err(failed)?
        };
        let bytes = settings.limit_rate.map(|rate| Limiter::new(rate.bytes() as f64));
        let requests = settings.limit_requests.map(|n| Limiter::new(f64::from(n.max(1))));
        let kind = Kind::Service(service, name.to_owned());
        Ok(Self { inner: Arc::new(Inner { kind, client, runtime, bytes, requests }) })
    }

    /// A directory of this machine whose files are the objects. What is written is durable, and has its name only when it is
    /// complete.
    ///
    /// Fails if the directory does not exist.
    pub fn folder(path: &std::path::Path) -> Result<Self> {
        let failed = |said| StoreError::new(&path.display(), "open it", said);
        let runtime = runtime().map_err(|error| failed(Said::Other(error.to_string())))?;
        let client = Client::folder(path).map_err(failed)?;
        let kind = Kind::Folder(path.to_owned());
        Ok(Self { inner: Arc::new(Inner { kind, client, runtime, bytes: None, requests: None }) })
    }

    /// The service; `None` if it is a directory.
    pub fn service(&self) -> Option<Service> {
        match &self.inner.kind {
            Kind::Service(service, _) => Some(*service),
            Kind::Folder(_) => None,
        }
    }

    /// The file of an object, if the objects are files.
    pub(crate) fn file(&self, key: &str) -> Option<PathBuf> {
        match &self.inner.kind {
            Kind::Service(..) => None,
            Kind::Folder(path) => Some(path.join(key)),
        }
    }

    /// What messages call an object of this bucket.
    pub fn name_of(&self, key: &str) -> String {
        match &self.inner.kind {
            Kind::Service(service, name) => format!("{}://{name}/{key}", service.scheme()),
            Kind::Folder(path) => path.join(key).display().to_string(),
        }
    }

    /// An object's facts; `None` if there is no such object.
    pub fn head(&self, key: &str) -> Result<Option<Object>> {
        match self.run(async { self.head_marked(key).await }) {
            Ok((object, _)) => Ok(Some(object)),
            Err(Said::NoObject) => Ok(None),
            Err(said) => Err(self.error(key, "look at it", said)),
        }
    }

    /// An object's content of at most `limit` bytes, in one request; `None` if there is no such object.
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let read = self.run(async {
            let path = path(key)?;
            let mut attempt = 0;
            loop {
                self.wait(1, 0).await;
                let answer = repeated(async || self.inner.client.objects.get(&path).await).await?;
                let size = answer.meta.size;
                if size > limit {
                    return Err(Said::Other(format!(
                        "it has {size} bytes, more than the {limit} that may be read at once"
                    )));
                }
                self.wait(0, size).await;
                let failed = match collect(answer.into_stream(), size).await {
                    Ok(bytes) if bytes.len() as u64 == size => return Ok(bytes),
                    Ok(bytes) => Said::Short { got: bytes.len() as u64, wanted: size },
                    Err(said) => said,
                };
                if attempt >= CUT_RETRIES || !is_temporary(&failed) {
                    return Err(failed);
                }
                tokio::time::sleep(CUT_BACKOFF * 2_u32.pow(attempt)).await;
                attempt += 1;
            }
        });
        match read {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(Said::NoObject) => Ok(None),
            Err(said) => Err(self.error(key, "read it", said)),
        }
    }

    /// Reads a range of an object, whichever version of it is there.
    pub(crate) fn read_range(&self, key: &str, buf: &mut [u8], offset: u64) -> Result<()> {
        if buf.is_empty() {
            return Ok(());
        }
        let range = GetRange::Bounded(offset..offset.saturating_add(buf.len() as u64));
        let read = self.run(self.range(key, range, None));
        let (_, bytes) = read.map_err(|said| self.error(key, "read it", said))?;
        buf.copy_from_slice(&bytes);
        Ok(())
    }

    /// Writes a small object that is not there yet. An object with the same content counts as written: an answer may have been
    /// lost. Fails with [`Said::Exists`] if there is another.
    pub fn put_once(&self, key: &str, content: &[u8]) -> Result<()> {
        self.put_owned(key, content.to_vec())
    }

    /// As [`Self::put_once`].
    pub(crate) fn put_owned(&self, key: &str, content: Vec<u8>) -> Result<()> {
        self.run(self.put(key, Bytes::from(content), PutMode::Create))
            .map_err(|said| self.error(key, "write it", said))
    }

    /// All objects whose keys begin with this folder, or with this key.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.run(async {
            self.wait(1, 0).await;
            let path = path(prefix)?;
            repeated(async || {
                let found = self.inner.client.objects.list(Some(&path));
                found.map_ok(Object::from).try_collect().await
            })
            .await
        })
        .map_err(|said| self.error(prefix, "list the objects", said))
    }

    /// Deletes objects. Returns those that were not deleted, with the reason; an object that is not there counts as deleted.
    pub fn delete(&self, keys: &[String]) -> Result<Vec<(String, StoreError)>> {
        let paths = keys.iter().map(|key| path(key)).collect::<Result<Vec<_>, Said>>();
        let paths = paths.map_err(|said| self.error("", "delete objects", said))?;
        Ok(self.run(async {
            self.wait(1, 0).await;
            let mut attempt = 0;
            loop {
                let begun = Instant::now();
                let asked: BoxStream<'static, object_store::Result<Path>> =
                    futures_util::stream::iter(paths.clone().into_iter().map(Ok)).boxed();
                let answers = self.inner.client.objects.delete_stream(asked);
                let answers: Vec<_> =
                    answers.map(|answer| answer.map_err(|error| said(&error))).collect().await;
                let failed = answers
                    .iter()
                    .find_map(|answer| answer.as_ref().err().filter(|said| is_cut(said, begun)));
                if failed.is_none() || attempt >= CUT_RETRIES {
                    return self.refused(keys, &answers);
                }
                tokio::time::sleep(CUT_BACKOFF * 2_u32.pow(attempt)).await;
                attempt += 1;
            }
        }))
    }

    /// The objects that were not deleted, with the reasons. There is an answer for each object in turn, unless the store has refused
    /// a request for many objects: that is one answer.
    fn refused(&self, keys: &[String], answers: &[Result<Path, Said>]) -> Vec<(String, StoreError)> {
        let refused = |key: &String, said: &Said| (key.clone(), self.error(key, "delete it", said.clone()));
        if answers.len() == keys.len() {
            let each = keys.iter().zip(answers);
            return each
                .filter_map(|(key, answer)| match answer {
                    Ok(_) | Err(Said::NoObject) => None,
                    Err(said) => Some(refused(key, said)),
                })
                .collect();
        }
        let missing = Said::Other("the store did not report that it is deleted".to_owned());
        let said = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap_or(&missing);
        let deleted: HashSet<&str> = answers.iter().flatten().map(AsRef::as_ref).collect();
        keys.iter().filter(|key| !deleted.contains(key.as_str())).map(|key| refused(key, said)).collect()
    }

    /// Waits for an answer on this thread.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.inner.runtime.block_on(future)
    }

    pub(crate) fn error(&self, key: &str, doing: impl Into<String>, said: Said) -> StoreError {
        StoreError::new(&self.name_of(key), doing, said)
    }

    /// Waits until so many requests and bytes are within the limits.
    pub(crate) async fn wait(&self, requests: u32, bytes: u64) {
        let now = Instant::now();
        let requests = self.inner.requests.as_ref().map(|limit| limit.delay(f64::from(requests), now));
        let bytes =
            self.inner.bytes.as_ref().filter(|_| bytes > 0).map(|limit| limit.delay(bytes as f64, now));
        let delay = requests.unwrap_or_default().max(bytes.unwrap_or_default());
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// An object's facts, and the mark that its writer gave it.
    pub(crate) async fn head_marked(&self, key: &str) -> Result<(Object, Option<String>), Said> {
        self.wait(1, 0).await;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = match self.inner.client.objects.get_opts(&path(key)?, options).await {
            Ok(found) => found,
            Err(error) => return Err(self.reason(key, said(&error)).await),
        };
        let mark = found.attributes.get(&crate::upload::mark()).map(|value| value.as_ref().to_owned());
        Ok((found.meta.into(), mark))
    }

    /// Why a request for an object's facts was refused. The answer to it has no body that could say so, other than the answer to a
    /// request for the first byte.
    async fn reason(&self, key: &str, refused: Said) -> Said {
        let (Said::Denied(_) | Said::Other(_), Ok(path)) = (&refused, path(key)) else { return refused };
        self.wait(1, 1).await;
        let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        match self.inner.client.objects.get_opts(&path, options).await.map_err(|error| said(&error)) {
            Err(Said::NoObject) | Ok(_) => refused,
            Err(reason) => reason,
        }
    }

    /// Reads a range of an object, of the version with this ETag. An answer that was cut is asked for again.
    pub(crate) async fn range(
        &self,
        key: &str,
        range: GetRange,
        etag: Option<&str>,
    ) -> Result<(Object, Bytes), Said> {
        let path = path(key)?;
        let mut attempt = 0;
        loop {
            let options = GetOptions {
                range: Some(range.clone()),
                if_match: etag.map(str::to_owned),
                ..GetOptions::default()
            };
            let expected = match &range {
                GetRange::Bounded(range) => range.end.saturating_sub(range.start),
                GetRange::Suffix(length) => *length,
                GetRange::Offset(_) => 0,
            };
            self.wait(1, expected).await;
            let answer =
                self.inner.client.objects.get_opts(&path, options).await.map_err(|error| said(&error))?;
            let object = Object::from(answer.meta.clone());
            let wanted = answer.range.end.saturating_sub(answer.range.start);
            if let GetRange::Bounded(asked) = &range
                && answer.range != *asked
            {
                return Err(Said::Other(format!(
                    "the answer has bytes {:?} in place of {asked:?}",
                    answer.range
                )));
            }
            let failed = match collect(answer.into_stream(), wanted).await {
                Ok(bytes) if bytes.len() as u64 == wanted => return Ok((object, bytes)),
                Ok(bytes) => Said::Short { got: bytes.len() as u64, wanted },
                Err(said) => said,
            };
            if attempt >= CUT_RETRIES || !is_temporary(&failed) {
                return Err(failed);
            }
            tokio::time::sleep(CUT_BACKOFF * 2_u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    /// Writes an object at once.
    pub(crate) async fn put(&self, key: &str, content: Bytes, mode: PutMode) -> Result<(), Said> {
        self.wait(1, content.len() as u64).await;
        let path = path(key)?;
        let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
        let put = || self.inner.client.objects.put_opts(&path, content.clone().into(), options.clone());
        let written = match mode {
            PutMode::Create => repeated(async || put().await).await,
            _ => put().await.map_err(|error| said(&error)),
        };
        match written {
            Ok(_) => Ok(()),
            // It may be ours: a repeated request finds what the first one wrote, whose answer was lost.
            Err(Said::Exists | Said::Changed) if matches!(mode, PutMode::Create) => {
                let there = repeated(async || self.inner.client.objects.get(&path).await).await?;
                let is_ours = there.meta.size == content.len() as u64
                    && collect(there.into_stream(), content.len() as u64).await? == content;
                if is_ours { Ok(()) } else { Err(Said::Exists) }
            }
            Err(said) => Err(said),
        }
    }
}

/// Makes a request that may be made twice. It is made again if its answer was cut.
async fn repeated<T>(request: impl AsyncFn() -> object_store::Result<T>) -> Result<T, Said> {
    let mut attempt = 0;
    loop {
        let begun = Instant::now();
        match request().await.map_err(|error| said(&error)) {
            Err(said) if attempt < CUT_RETRIES && is_cut(&said, begun) => {
                tokio::time::sleep(CUT_BACKOFF * 2_u32.pow(attempt)).await;
                attempt += 1;
            }
            ended => return ended,
        }
    }
}

/// Whether a request that was begun then failed because its answer was cut.
fn is_cut(said: &Said, begun: Instant) -> bool {
    matches!(said, Said::Unreachable(_)) && begun.elapsed() < NOT_REPEATED
}

async fn collect(
    mut stream: BoxStream<'static, object_store::Result<Bytes>>,
    expected: u64,
) -> Result<Bytes, Said> {
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| said(&error))?;
        if all.is_empty() && piece.len() as u64 == expected {
            return Ok(piece);
        }
        if (all.len() as u64).saturating_add(piece.len() as u64) > expected {
            return Err(Said::Other(format!(
                "the answer has more than the {expected} bytes that were asked for"
            )));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// A key as the client takes it.
pub(crate) fn path(key: &str) -> Result<Path, Said> {
    Path::parse(key).map_err(|error| Said::Settings(format!("the key cannot be used: {error}")))
}
