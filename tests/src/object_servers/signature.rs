//! Signatures of requests: Amazon's version 4 and Azure's shared key, as far as tests need them.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};

use super::time::Time;
use crate::Result;

/// The region that signatures are for. The servers here take any.
pub(super) const REGION: &str = "us-east-1";

/// The headers that sign a request to an S3 server, for a host, a path and a query as they are sent. Of the request's own
/// headers, those that begin with `x-amz-` are signed as well, as the servers demand.
pub(super) fn aws(
    (access_key, secret_key): (&str, &str),
    (method, host, path, query): (&str, &str, &str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<(String, String)> {
    let time = Time::now();
    let (day, time) = (time.day(), time.compact());
    let hash = hex(digest(&SHA256, body).as_ref());
    let mut signed = vec![("host", host), ("x-amz-content-sha256", &hash), ("x-amz-date", &time)];
    signed.extend(headers.iter().filter(|(name, _)| name.starts_with("x-amz-")));
    signed.sort_unstable();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines = signed.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}:{value}");
        text
    });
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{hash}");
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let key = [day.as_str(), REGION, "s3", "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret_key}").into_bytes(), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    vec![
        ("x-amz-content-sha256".to_owned(), hash),
        ("x-amz-date".to_owned(), time),
        ("Authorization".to_owned(), authorization),
    ]
}

/// The headers that sign a request to an Azure server: `headers` and those that belong to a signature.
///
/// Of the headers that Azure signs by place, only `Content-Length` may be in the request, and `query` is not encoded.
pub(super) fn azure(
    (account, key): (&str, &str),
    (method, path, query): (&str, &str, &[(&str, &str)]),
    headers: &[(&str, &str)],
    length: usize,
) -> Result<Vec<(String, String)>> {
    let mut headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
    headers.push(("x-ms-date".to_owned(), Time::now().http()));
    headers.push(("x-ms-version".to_owned(), "2023-11-03".to_owned()));
    headers.sort();
    let length = if length == 0 { String::new() } else { length.to_string() };
    // Encoding and language, length, MD5, type, date, four conditions and the range.
    let mut to_sign = format!("{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n");
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-ms-")) {
        let _ = writeln!(to_sign, "{name}:{value}");
    }
    let _ = write!(to_sign, "/{account}{path}");
    let mut query = query.to_vec();
    query.sort_unstable();
    for (name, value) in query {
        let _ = write!(to_sign, "\n{name}:{value}");
    }
    let signature = STANDARD.encode(hmac(&STANDARD.decode(key)?, &to_sign));
    headers.push(("Authorization".to_owned(), format!("SharedKey {account}:{signature}")));
    Ok(headers)
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Encodes text for a query, or for a path where slashes stay.
pub(super) fn encode(text: &str, keep_slashes: bool) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slashes && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// Encodes a query. Amazon wants its parts in order.
pub(super) fn encode_query(query: &[(&str, &str)]) -> String {
    let mut parts: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
        .collect();
    parts.sort();
    parts.join("&")
}
