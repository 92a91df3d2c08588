//! A small S3 client, to look at a store from outside.

use super::http::{Answer, authority, request};
use super::signature::{aws, encode, encode_query};
use super::xml::{elements, value};
use crate::Result;

/// An S3 server, reached as one user.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Where it answers: `http://HOST:PORT`.
    pub endpoint: String,
    /// The user's name.
    pub access_key: String,
    /// The user's secret.
    pub secret_key: String,
}

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A multipart upload that is neither complete nor given up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upload {
    /// The key of the object to be.
    pub key: String,
    /// The number that the server gave it.
    pub id: String,
}

impl S3 {
    /// The same user at another endpoint, such as a proxy's.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), ..self.clone() }
    }

    /// What the command and other clients want in their environment to come as this user.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", self.access_key.as_str()),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_key),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", super::signature::REGION),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Sends a signed request, whatever comes of it. `path` is `/BUCKET` or `/BUCKET/KEY`, not encoded. The names of headers are in
    /// lower case where the server wants them signed.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let (path, query) = (encode(path, true), encode_query(query));
        let host = authority(&self.endpoint)?;
        let mut all = aws((&self.access_key, &self.secret_key), (method, host, &path, &query), headers, body);
        all.extend(headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        request(&self.endpoint, method, &target, &all, body)
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.request("PUT", &format!("/{bucket}"), &[], &[], b"")?.success()?;
        Ok(())
    }

    /// Writes an object.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) -> Result<()> {
        self.request("PUT", &format!("/{bucket}/{key}"), &[], &[], body)?.success()?;
        Ok(())
    }

    /// Reads an object. `None` where there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let answer = self.request("GET", &format!("/{bucket}/{key}"), &[], &[], b"")?;
        if answer.status == 404 { Ok(None) } else { Ok(Some(answer.success()?.body)) }
    }

    /// Reads a part of an object: from the byte `first` to the byte `last`, which belongs to it.
    pub fn get_range(&self, bucket: &str, key: &str, first: u64, last: u64) -> Result<Vec<u8>> {
        let range = format!("bytes={first}-{last}");
        let answer =
            self.request("GET", &format!("/{bucket}/{key}"), &[], &[("Range", &range)], b"")?.success()?;
        if answer.status == 206 { Ok(answer.body) } else { Err(format!("status {}", answer.status).into()) }
    }

    /// Deletes an object. It need not be there.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.request("DELETE", &format!("/{bucket}/{key}"), &[], &[], b"")?.success()?;
        Ok(())
    }

    /// All objects whose keys begin with a prefix, in the order of their keys.
    pub fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix)];
            if let Some(token) = &token {
                query.push(("continuation-token", token));
            }
            let text = self.request("GET", &format!("/{bucket}"), &query, &[], b"")?.success()?.text();
            for inner in elements(&text, "Contents") {
                let size = value(inner, "Size").ok_or("an object without a size")?.parse()?;
                objects.push(Object { key: value(inner, "Key").ok_or("an object without a key")?, size });
            }
            token = value(&text, "NextContinuationToken").filter(|token| !token.is_empty());
            if token.is_none() || value(&text, "IsTruncated").as_deref() != Some("true") {
                objects.sort();
                return Ok(objects);
            }
        }
    }

    /// The unfinished multipart uploads of keys that begin with a prefix, in the order of their keys.
    pub fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>> {
        let query = [("uploads", ""), ("prefix", prefix)];
        let text = self.request("GET", &format!("/{bucket}"), &query, &[], b"")?.success()?.text();
        if value(&text, "IsTruncated").as_deref() == Some("true") {
            return Err("more uploads than a server tells at once".into());
        }
        let mut uploads = Vec::new();
        for inner in elements(&text, "Upload") {
            let key = value(inner, "Key").ok_or("an upload without a key")?;
            uploads.push(Upload { key, id: value(inner, "UploadId").ok_or("an upload without a number")? });
        }
        uploads.sort();
        Ok(uploads)
    }

    /// Begins a multipart upload.
    pub fn start_upload(&self, bucket: &str, key: &str) -> Result<Upload> {
        let answer = self.request("POST", &format!("/{bucket}/{key}"), &[("uploads", "")], &[], b"")?;
        let id = value(&answer.success()?.text(), "UploadId").ok_or("an upload without a number")?;
        Ok(Upload { key: key.to_owned(), id })
    }

    /// Writes a part of a multipart upload. They are counted from 1.
    pub fn put_part(&self, bucket: &str, upload: &Upload, number: u32, body: &[u8]) -> Result<()> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", &upload.id)];
        self.request("PUT", &format!("/{bucket}/{}", upload.key), &query, &[], body)?.success()?;
        Ok(())
    }

    /// Gives a multipart upload up.
    pub fn abort_upload(&self, bucket: &str, upload: &Upload) -> Result<()> {
        let query = [("uploadId", upload.id.as_str())];
        self.request("DELETE", &format!("/{bucket}/{}", upload.key), &query, &[], b"")?.success()?;
        Ok(())
    }
}
