//! Who asks: the one user there is, by basic authentication.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::prelude::{BASE64_STANDARD, Engine};
use subtle::ConstantTimeEq;

use crate::http::HttpError;
use crate::options::Authentication;

/// Fails unless a request is the user's.
pub(super) fn check(user: &Authentication, headers: &HeaderMap) -> Result<(), HttpError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(given) = given else { return Err(refused("You are not authorized to access this backup.")) };
    let encoded = match given.split_once(' ') {
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => encoded.trim(),
        _ => return Err(refused("You are not authorized to access this backup.")),
    };
    let pair = BASE64_STANDARD.decode(encoded).unwrap_or_default();
    let wanted = format!("{}:{}", user.name, user.password);
    // Both are compared in a time that does not tell how much of them is right.
    if bool::from(pair.as_slice().ct_eq(wanted.as_bytes())) {
        Ok(())
    } else {
        Err(refused("Name or password is incorrect."))
    }
}

/// Fails if a request that needs no password goes to this machine under a foreign name: then a page of somebody else, whose
/// name suddenly means this machine, reads what only its user may.
pub(super) fn check_host(headers: &HeaderMap) -> Result<(), HttpError> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let reason =
        "This server is for this machine only: ask for it as localhost, or give it a user and a password.";
    Err(HttpError::new(403, "forbidden", reason))
}

fn refused(reason: &str) -> HttpError {
    let mut error = HttpError::new(401, "unauthorized", reason);
    error.headers.push(("www-authenticate", "Basic realm=\"couchcopy\"".to_owned()));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_names_do_not_lead_here() {
        let check = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            check_host(&headers).is_ok()
        };
        for host in ["localhost", "localhost:5984", "127.0.0.1:80", "[::1]:5984", "a.localhost", "LOCALHOST"]
        {
            assert!(check(host), "{host}");
        }
        for host in ["evil.example", "evil.example:5984", "localhost.evil.example", "[evil]", ""] {
            assert!(!check(host), "{host}");
        }
    }

    #[test]
    fn only_the_user_passes() {
        let user = Authentication { name: "a".into(), password: "b:c".into() };
        let check = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            super::check(&user, &headers).map_err(|error| error.status)
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert_eq!(check(Some(&basic("a:b:c"))), Ok(()));
        for wrong in ["a:b", "a:b:c ", "b:b:c", "", "a:b:cc"] {
            assert_eq!(check(Some(&basic(wrong))), Err(401), "{wrong}");
        }
        assert_eq!(check(None), Err(401));
        assert_eq!(check(Some("Bearer x")), Err(401));
        assert_eq!(check(Some("Basic %%%")), Err(401));
        assert!(!format!("{user:?}").contains("b:c"));
    }
}
