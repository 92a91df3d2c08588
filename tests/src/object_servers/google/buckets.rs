//! The buckets, and what comes of a request to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use crate::object_servers::exchange::{Asked, Reply};
use crate::object_servers::time::Time;
use crate::object_servers::xml::{elements, escape, value};

/// The smallest part of an upload, but for the last.
const SMALLEST_PART: usize = 5 << 20;
/// The most parts of an upload.
const MOST_PARTS: usize = 10_000;
/// Objects in a page of a list.
const PAGE: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Buckets {
    buckets: BTreeMap<String, Bucket>,
    /// Numbers generations and uploads.
    last: u64,
}

#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
}

#[derive(Debug)]
struct Object {
    content: Vec<u8>,
    etag: String,
    generation: u64,
    written: Time,
    /// `x-goog-meta-…`.
    metadata: Vec<(String, String)>,
}

#[derive(Debug)]
struct Upload {
    key: String,
    metadata: Vec<(String, String)>,
    parts: BTreeMap<usize, (String, Vec<u8>)>,
}

impl Buckets {
    pub(super) fn create(&mut self, name: &str) {
        self.buckets.entry(name.to_owned()).or_default();
    }

    pub(super) fn content(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        Some(self.buckets.get(bucket)?.objects.get(key)?.content.clone())
    }

    pub(super) fn unfinished(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.uploads.len()).sum()
    }

    pub(super) fn answer(&mut self, asked: &Asked) -> Reply {
        let path = asked.path.strip_prefix('/').unwrap_or(&asked.path);
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        let Some(bucket) = self.buckets.get_mut(name) else {
            return Reply::error(404, "NoSuchBucket", "The specified bucket does not exist.");
        };
        self.last += 1;
        let number = self.last;
        let is_multipart = asked.query("uploads").or(asked.query("uploadId")).is_some();
        if is_multipart && asked.headers.iter().any(|(name, _)| name.starts_with("x-goog-if-")) {
            return Reply::error(
                400,
                "NotImplemented",
                "A header you provided implies functionality that is not implemented.",
            );
        }
        match (asked.method.as_str(), key, asked.query("uploadId")) {
            ("GET", "", _) => bucket.list(name, asked),
            ("GET" | "HEAD", _, None) => bucket.get(key, asked),
            ("PUT", _, None) if !key.is_empty() => bucket.put(key, asked, number),
            ("DELETE", _, None) => bucket.delete(key),
            ("POST", _, None) if asked.query("uploads").is_some() => bucket.begin(name, key, asked, number),
            ("PUT", _, Some(id)) => bucket.put_part(key, id, asked),
            ("POST", _, Some(id)) => bucket.complete((name, key), id, asked, number),
            ("DELETE", _, Some(id)) => bucket.give_up(key, id),
            _ => Reply::error(400, "InvalidArgument", "Invalid argument."),
        }
    }
}

impl Bucket {
    fn list(&self, name: &str, asked: &Asked) -> Reply {
        let prefix = asked.query("prefix").unwrap_or_default();
        let after = asked.query("continuation-token").or(asked.query("start-after")).unwrap_or_default();
        let most = asked.query("max-keys").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let mut found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after)
            .collect::<Vec<_>>();
        let is_truncated = found.len() > most;
        found.truncate(most);
        let mut text = format!(
            "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>{name}</Name><Prefix>{}</Prefix>\
             <KeyCount>{}</KeyCount><IsTruncated>{is_truncated}</IsTruncated>",
            escape(prefix),
            found.len()
        );
        if let Some((last, _)) = found.last().filter(|_| is_truncated) {
            let _ = write!(text, "<NextContinuationToken>{}</NextContinuationToken>", escape(last));
        }
        for (key, object) in found {
            let _ = write!(
                text,
                "<Contents><Key>{}</Key><Generation>{}</Generation><MetaGeneration>1</MetaGeneration>\
                 <LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                escape(key),
                object.generation,
                object.written.iso(),
                escape(&object.etag),
                object.content.len()
            );
        }
        Reply::new(200).xml(&(text + "</ListBucketResult>"))
    }

    fn get(&self, key: &str, asked: &Asked) -> Reply {
        let Some(object) = self.objects.get(key) else { return no_object() };
        if asked.header("if-match").is_some_and(|wanted| wanted != object.etag) {
            return precondition_failed();
        }
        let length = object.content.len();
        let reply = match asked.header("range") {
            None => Reply::new(200).body(&object.content),
            Some(range) => match bytes(range, length) {
                Some((first, end)) => Reply::new(206)
                    .header("Content-Range", &format!("bytes {first}-{}/{length}", end - 1))
                    .body(&object.content[first..end]),
                None => {
                    return Reply::error(416, "InvalidRange", "The requested range cannot be satisfied.")
                        .header("Content-Range", &format!("bytes */{length}"));
                }
            },
        };
        let reply = object.metadata.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
        reply
            .header("ETag", &object.etag)
            .header("Last-Modified", &object.written.http())
            .header("Content-Type", "application/octet-stream")
            .header("x-goog-generation", &object.generation)
            .header("x-goog-metageneration", &1)
            .header("x-goog-stored-content-length", &length)
    }

    fn put(&mut self, key: &str, asked: &Asked, generation: u64) -> Reply {
        let now = self.objects.get(key).map_or(0, |object| object.generation).to_string();
        if asked.header("x-goog-if-generation-match").is_some_and(|wanted| wanted != now) {
            return precondition_failed();
        }
        let etag = etag(&asked.body);
        let reply = Reply::new(200).header("ETag", &etag).header("x-goog-generation", &generation);
        self.write(key, (asked.body.clone(), etag), generation, metadata(asked));
        reply
    }

    fn write(
        &mut self,
        key: &str,
        (content, etag): (Vec<u8>, String),
        generation: u64,
        metadata: Vec<(String, String)>,
    ) {
        let object = Object { content, etag, generation, written: Time::now(), metadata };
        self.objects.insert(key.to_owned(), object);
    }

    fn delete(&mut self, key: &str) -> Reply {
        if self.objects.remove(key).is_some() { Reply::new(204) } else { no_object() }
    }

    fn begin(&mut self, name: &str, key: &str, asked: &Asked, number: u64) -> Reply {
        let id = format!("ABPn-{number}/+=");
        let upload = Upload { key: key.to_owned(), metadata: metadata(asked), parts: BTreeMap::new() };
        let text = format!(
            "<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>{name}</Bucket>\
             <Key>{}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            escape(key)
        );
        self.uploads.insert(id, upload);
        Reply::new(200).xml(&text)
    }

    fn put_part(&mut self, key: &str, id: &str, asked: &Asked) -> Reply {
        let number = asked.query("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
        let Some(upload) = self.uploads.get_mut(id).filter(|upload| upload.key == key) else {
            return no_upload();
        };
        if !(1..=MOST_PARTS).contains(&number) {
            return Reply::error(
                400,
                "InvalidArgument",
                "Part number must be an integer between 1 and 10000.",
            );
        }
        let etag = etag(&asked.body);
        upload.parts.insert(number, (etag.clone(), asked.body.clone()));
        Reply::new(200).header("ETag", &etag)
    }

    fn complete(&mut self, (name, key): (&str, &str), id: &str, asked: &Asked, generation: u64) -> Reply {
        let Some(upload) = self.uploads.get(id).filter(|upload| upload.key == key) else {
            return no_upload();
        };
        let text = String::from_utf8_lossy(&asked.body);
        let named = elements(&text, "Part");
        let (mut content, mut last) = (Vec::new(), 0);
        for (i, part) in named.iter().enumerate() {
            let number = value(part, "PartNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
            if number <= last {
                return Reply::error(400, "InvalidPartOrder", "The parts are not in ascending order.");
            }
            last = number;
            let sent = upload.parts.get(&number);
            let Some((_, bytes)) = sent.filter(|(etag, _)| value(part, "ETag").as_ref() == Some(etag)) else {
                return Reply::error(400, "InvalidPart", "A part could not be found.");
            };
            if bytes.len() < SMALLEST_PART && i + 1 < named.len() {
                return Reply::error(400, "EntityTooSmall", "A part is smaller than 5 MiB.");
            }
            content.extend_from_slice(bytes);
        }
        if named.is_empty() {
            return Reply::error(400, "MalformedCompleteMultipartUploadRequest", "There are no parts.");
        }
        let etag = etag(&content).replacen('"', "\"parts-", 1);
        let text = format!(
            "<CompleteMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>{name}</Bucket>\
             <Key>{}</Key><ETag>{}</ETag></CompleteMultipartUploadResult>",
            escape(key),
            escape(&etag)
        );
        let metadata = upload.metadata.clone();
        self.uploads.remove(id);
        self.write(key, (content, etag), generation, metadata);
        Reply::new(200).header("x-goog-generation", &generation).xml(&text)
    }

    fn give_up(&mut self, key: &str, id: &str) -> Reply {
        if self.uploads.get(id).is_none_or(|upload| upload.key != key) {
            return no_upload();
        }
        self.uploads.remove(id);
        Reply::new(204)
    }
}

fn no_object() -> Reply {
    Reply::error(404, "NoSuchKey", "The specified key does not exist.")
}

fn no_upload() -> Reply {
    Reply::error(404, "NoSuchUpload", "The requested upload was not found.")
}

fn precondition_failed() -> Reply {
    Reply::error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
}

/// The metadata of a user's that a request brings.
fn metadata(asked: &Asked) -> Vec<(String, String)> {
    asked.headers.iter().filter(|(name, _)| name.starts_with("x-goog-meta-")).cloned().collect()
}

fn etag(content: &[u8]) -> String {
    let hash = digest(&SHA256, content);
    let hex = hash.as_ref().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("\"{hex}\"")
}

/// The first byte of a range of a content of this length, and the end. `None` if it has no byte.
fn bytes(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, end) = match (first, last) {
        ("", last) => (length.saturating_sub(last.parse().ok()?), length),
        (first, "") => (first.parse().ok()?, length),
        (first, last) => (first.parse().ok()?, last.parse::<usize>().ok()?.saturating_add(1).min(length)),
    };
    (first < end).then_some((first, end))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn ranges_are_read_as_http_writes_them() {
        for (range, expected) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-99", Some((2, 10))),
            ("bytes=4-", Some((4, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=10-", None),
            ("bytes=5-4", None),
        ] {
            assert_eq!(bytes(range, 10), expected, "{range}");
        }
    }
}
