//! What clients accept.
//!
//! Source: `mochiweb_request.erl` (`accepts_content_type/2`, `accepted_encodings/2`).

use super::call::Call;
use super::error::HttpError;

/// Which encodings of an attachment a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encodings {
    /// Gzip.
    pub(crate) gzip: bool,
}

impl Encodings {
    /// What a request says; fails where it takes none that there is.
    pub(crate) fn of(call: &Call) -> Result<Self, HttpError> {
        let weights = weights(call.header("accept-encoding").unwrap_or_default());
        let weight = |name: &str| {
            let own = weights.iter().find(|(found, _)| found == name);
            own.or_else(|| weights.iter().find(|(found, _)| found == "*")).map(|(_, weight)| *weight)
        };
        let gzip = weight("gzip").is_some_and(|weight| weight > 0.0);
        let identity = weight("identity").is_none_or(|weight| weight > 0.0);
        if !gzip && !identity {
            return Err(HttpError::new(406, "not_acceptable", "unacceptable_encoding"));
        }
        Ok(Self { gzip })
    }
}

/// Whether a request takes an answer of that type. Without a header it takes all.
pub(crate) fn accepts(call: &Call, content_type: &str) -> bool {
    let weights = weights(call.header("accept").unwrap_or("*/*"));
    let group = content_type.split_once('/').map(|(group, _)| format!("{group}/*")).unwrap_or_default();
    let named = |name: &str| name == content_type || name == group;
    weights.iter().any(|(name, weight)| *weight > 0.0 && (name == "*/*" || named(name)))
        && !weights.iter().any(|(name, weight)| *weight <= 0.0 && named(name))
}

/// The names in a header with their weights.
fn weights(header: &str) -> Vec<(String, f64)> {
    let one = |item: &str| {
        let mut parts = item.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.trim().parse().ok());
        (name, weight.unwrap_or(1.0))
    };
    header.split(',').map(one).filter(|(name, _)| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    fn call(header: &'static str, value: &str) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert(header, value.parse().unwrap());
        Call::parse("GET", &"/".parse().unwrap(), headers).unwrap()
    }

    #[test]
    fn types() {
        let accepts = |header: &str, wanted: &str| super::accepts(&call("accept", header), wanted);
        assert!(accepts("text/plain, application/*", "application/json"));
        assert!(!accepts("text/plain, */*; q=0.0", "application/json"));
        assert!(accepts("text/plain; q=0.5, */*; q=0.1", "application/json"));
        assert!(!accepts("text/*; q=0.0, */*", "text/plain"));
        assert!(!accepts("application/json", "multipart/mixed"));
        let none = Call::parse("GET", &"/".parse().unwrap(), HeaderMap::new()).unwrap();
        assert!(super::accepts(&none, "multipart/mixed"));
    }

    #[test]
    fn encodings() {
        let gzip = |header: &str| Encodings::of(&call("accept-encoding", header)).map(|found| found.gzip);
        assert_eq!(gzip("gzip, deflate"), Ok(true));
        assert_eq!(gzip("deflate"), Ok(false));
        assert_eq!(gzip("*"), Ok(true));
        assert_eq!(gzip("gzip;q=0"), Ok(false));
        assert!(gzip("identity;q=0").is_err());
    }
}
