//! The limits that CouchDB's configuration sets for requests and attachments.
//!
//! CouchDB answers a request that is too large at once and closes the connection while the rest is still being sent. That answer
//! can be lost; the configuration shows what it was.

use node::Http;

/// The limits of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    request: Option<u64>,
    attachment: Option<u64>,
}

impl Limits {
    /// Queries the node; unknown limits count as unlimited.
    pub(super) fn of(http: &Http) -> Self {
        let setting = |section, key| http.config(section, key).ok().flatten()?.trim().parse().ok();
        Self {
            request: setting("chttpd", "max_http_request_size"),
            attachment: setting("couchdb", "max_attachment_size"),
        }
    }

    /// Why a request of this size with a largest attachment of this size is refused, in bytes.
    pub(super) fn refusal(self, request: u64, attachment: u64) -> Option<String> {
        if let Some(limit) = self.attachment.filter(|limit| attachment > *limit) {
            return Some(format!(
                "too large: an attachment has {attachment} bytes, and [couchdb] max_attachment_size is {limit}"
            ));
        }
        let limit = self.request.filter(|limit| request > *limit)?;
        Some(format!(
            "too large: the request has {request} bytes, and [chttpd] max_http_request_size is {limit}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_limit() {
        let limits = Limits { request: Some(100), attachment: Some(50) };
        assert!(limits.refusal(100, 50).is_none());
        assert!(limits.refusal(101, 50).is_some_and(|text| text.contains("max_http_request_size is 100")));
        assert!(limits.refusal(101, 51).is_some_and(|text| text.contains("max_attachment_size is 50")));
        assert!(Limits::default().refusal(u64::MAX, u64::MAX).is_none());
    }
}
