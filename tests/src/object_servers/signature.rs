//! Signatures of requests: Amazon's version 4 and Azure's shared key, as far as tests need them.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::Result;

/// The region that signatures are for. The servers here take any.
pub(super) const REGION: &str = "us-east-1";

/// The headers that sign a request to an S3 server, for a host, a path and a query as they are sent.
pub(super) fn aws(
    (access_key, secret_key): (&str, &str),
    (method, host, path, query): (&str, &str, &str, &str),
    body: &[u8],
) -> Vec<(String, String)> {
    let time = Time::now();
    let (day, time) = (time.day(), time.compact());
    let hash = hex(digest(&SHA256, body).as_ref());
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n\n{names}\n{hash}"
    );
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

/// A time in UTC.
struct Time {
    days: u64,
    seconds: u64,
}

impl Time {
    fn now() -> Self {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        Self { days: now / 86_400, seconds: now % 86_400 }
    }

    /// Year, month and day.
    fn date(&self) -> (u64, u64, u64) {
        let (mut year, mut left) = (1970, self.days);
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if left < length {
                break;
            }
            left -= length;
            year += 1;
        }
        let february = if is_leap(year) { 29 } else { 28 };
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        (year, month, left + 1)
    }

    fn clock(&self) -> (u64, u64, u64) {
        (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60)
    }

    fn day(&self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}{month:02}{day:02}")
    }

    fn compact(&self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.day())
    }

    fn http(&self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.clock();
        let (weekday, month) = (DAYS[self.days as usize % 7], MONTHS[month as usize - 1]);
        format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_are_written_as_the_protocols_want() {
        let time = Time { days: 19_782, seconds: 45_296 };
        assert_eq!(time.compact(), "20240229T123456Z");
        assert_eq!(time.http(), "Thu, 29 Feb 2024 12:34:56 GMT");
        let time = Time { days: 20_818, seconds: 0 };
        assert_eq!(time.compact(), "20261231T000000Z");
    }
}
