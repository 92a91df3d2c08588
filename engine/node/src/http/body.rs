//! What requests carry.

use std::io::Read;

use reqwest::blocking::RequestBuilder;
use serde_json::Value;

/// What a request carries.
pub enum Body<'b> {
    /// Nothing.
    Nothing,
    /// A JSON value.
    Json(&'b Value),
    /// JSON text.
    Text(&'b [u8]),
    /// Bytes of another kind.
    Bytes {
        /// Their MIME type.
        content_type: &'b str,
        /// The bytes.
        bytes: &'b [u8],
    },
    /// Bytes that are read while they are sent.
    Stream {
        /// Their MIME type.
        content_type: &'b str,
        /// Their number.
        length: u64,
        /// Gives them.
        reader: Box<dyn Read + Send>,
    },
}

impl Body<'_> {
    /// Whether it can be sent only once.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }

    /// The same body, to be sent again; nothing if it is a stream.
    pub(super) fn again(&self) -> Body<'_> {
        match self {
            Self::Json(value) => Body::Json(value),
            Self::Text(text) => Body::Text(text),
            Self::Bytes { content_type, bytes } => Body::Bytes { content_type, bytes },
            Self::Nothing | Self::Stream { .. } => Body::Nothing,
        }
    }

    pub(super) fn put_into(self, request: RequestBuilder) -> RequestBuilder {
        let json = |request: RequestBuilder| request.header("accept", "application/json");
        match self {
            // Streams are sent otherwise, see `streamed`.
            Self::Nothing | Self::Stream { .. } => json(request),
            Self::Json(value) => request.json(value),
            Self::Text(text) => json(request).header("content-type", "application/json").body(text.to_vec()),
            Self::Bytes { content_type, bytes } => {
                json(request).header("content-type", content_type).body(bytes.to_vec())
            }
        }
    }
}
