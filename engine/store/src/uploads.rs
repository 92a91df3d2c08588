//! Uploads that were begun and neither completed nor abandoned. A store keeps, and charges for, their parts.

use std::path::Path as FilePath;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use serde::Deserialize;

use crate::bucket::{Bucket, path};
use crate::error::{Said, StoreError, said};
use crate::runtime::runtime;

/// How long the signature of a request is valid.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Signs requests, and makes them.
#[derive(Clone)]
pub(crate) struct Signing {
    signer: Arc<dyn Signer>,
    /// Built for the first request: most commands make none.
    http: OnceLock<reqwest::Client>,
}

impl Signing {
    pub(crate) fn new(signer: Arc<dyn Signer>) -> Self {
        Self { signer, http: OnceLock::new() }
    }

    /// The client of all requests. `ca` is a file with certificates that it trusts in addition.
    fn http(&self, ca: Option<&FilePath>) -> reqwest::Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // The client's TLS needs the runtime's provider.
        let _ = runtime();
        let mut builder = reqwest::Client::builder().timeout(Duration::from_secs(60));
        if let Some(pem) = ca.and_then(|file| std::fs::read(file).ok()) {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let http = builder.build()?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// An upload that is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The key that the object would get.
    pub key: String,
    /// What the store calls the upload.
    pub id: String,
    /// When it began, as the store writes it (ISO 8601).
    pub begun: String,
}

/// A page of the answer to `ListMultipartUploads`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    upload: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
    #[serde(default)]
    initiated: String,
}

impl Bucket {
    /// Unfinished uploads of keys that begin with `prefix`; `None` if the service cannot list them (it removes them by itself, or by
    /// a lifecycle rule).
    pub fn unfinished(&self, prefix: &str) -> Result<Option<Vec<Unfinished>>, StoreError> {
        self.run(self.list_unfinished(prefix))
            .map_err(|said| self.error(prefix, "list unfinished uploads", said))
    }

    /// Removes an unfinished upload and its parts. One that is not there counts as removed.
    pub fn abandon(&self, upload: &Unfinished) -> Result<(), StoreError> {
        match self.run(self.abort(&upload.key, &upload.id)) {
            Ok(()) | Err(Said::NoObject) => Ok(()),
            Err(said) => Err(self.error(&upload.key, "remove its unfinished upload", said)),
        }
    }

    pub(crate) async fn abort(&self, key: &str, id: &str) -> Result<(), Said> {
        self.wait(1, 0).await;
        self.inner
            .client
            .uploads()?
            .abort_multipart(&path(key)?, &id.to_owned())
            .await
            .map_err(|error| said(&error))
    }

    pub(crate) async fn list_unfinished(&self, prefix: &str) -> Result<Option<Vec<Unfinished>>, Said> {
        let Some(signing) = &self.inner.client.signer else { return Ok(None) };
        let failed = |error: reqwest::Error| Said::Unreachable(error.without_url().to_string());
        let http = signing.http(self.inner.client.options.ca.as_deref()).map_err(failed)?;
        let mut found = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let mut query = vec![("uploads", String::new()), ("prefix", prefix.to_owned())];
            if let Some((key, id)) = &after {
                query.push(("key-marker", key.clone()));
                query.push(("upload-id-marker", id.clone()));
            }
            self.wait(1, 0).await;
            let options = SignedUrlOptions::default().with_query(query);
            let url = signing
                .signer
                .signed_url_opts(reqwest::Method::GET, &Path::default(), SIGNED_FOR, &options)
                .await
                .map_err(|error| said(&error))?;
            let answer = http.get(url).send().await.map_err(failed)?;
            let status = answer.status();
            let text = answer.text().await.map_err(failed)?;
            if !status.is_success() {
                let source = format!("status code: {}: {text}", status.as_u16()).into();
                return Err(match said(&object_store::Error::Generic { store: "S3", source }) {
                    Said::Other(text) if status == reqwest::StatusCode::FORBIDDEN => Said::Denied(text),
                    said => said,
                });
            }
            let page: Page = quick_xml::de::from_str(&text)
                .map_err(|error| Said::Other(format!("the answer cannot be read: {error}")))?;
            let last = (page.next_key_marker, page.next_upload_id_marker);
            found.extend(page.upload.into_iter().map(|upload| Unfinished {
                key: upload.key,
                id: upload.id,
                begun: upload.initiated,
            }));
            if !page.is_truncated || last.0.is_empty() || after.as_ref() == Some(&last) {
                return Ok(Some(found));
            }
            after = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let page: Page = quick_xml::de::from_str(
            "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"x\"><Bucket>b</Bucket><KeyMarker></KeyMarker>\
             <NextKeyMarker>k</NextKeyMarker><IsTruncated>true</IsTruncated>\
             <Upload><Key>a</Key><UploadId>1</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>\
             <Upload><Key>k</Key><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>",
        )
        .unwrap();
        assert!(page.is_truncated);
        let keys: Vec<_> =
            page.upload.iter().map(|upload| (upload.key.as_str(), upload.id.as_str())).collect();
        assert_eq!(keys, [("a", "1"), ("k", "2")]);
    }
}
