//! What a store said, and what to do about it.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use outcome::{Advice, Code, Failure, FailureKind};

/// A request to a store that failed for good.
#[derive(Debug, thiserror::Error)]
#[error("{place}: cannot {doing}: {said}")]
pub struct StoreError {
    /// The object, or the bucket.
    pub place: String,
    /// What was asked of the store, as in "cannot …".
    pub doing: String,
    /// What the store answered.
    pub said: Said,
}

/// What a store answered, without any secret that was in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Said {
    /// There is no such bucket.
    #[error("there is no such bucket ({0})")]
    NoBucket(String),
    /// There is no such object.
    #[error("there is no such object")]
    NoObject,
    /// The bucket is in another region.
    #[error("the bucket is in another region ({0})")]
    Region(String),
    /// No credentials were found.
    #[error("no credentials were found ({0})")]
    NoCredentials(String),
    /// The credentials are not accepted.
    #[error("the credentials are not accepted ({0})")]
    Credentials(String),
    /// The credentials are no longer valid.
    #[error("the credentials have expired ({0})")]
    Expired(String),
    /// This machine's clock and the store's differ too much.
    #[error("the clocks of this machine and of the store differ too much ({0})")]
    Clock(String),
    /// The credentials do not permit the request.
    #[error("it is not permitted ({0})")]
    Denied(String),
    /// The object must not be deleted or replaced yet.
    #[error("the object is locked against deletion ({0})")]
    Locked(String),
    /// The object is not the one that was opened.
    #[error("the object was replaced while it was read")]
    Changed,
    /// An object of this name is there.
    #[error("an object of this name exists already")]
    Exists,
    /// The store is overloaded or out of order.
    #[error("the store is overloaded or does not work, also after repeated attempts ({0})")]
    Busy(String),
    /// No connection, or it was cut.
    #[error("the store does not answer, also after repeated attempts ({0})")]
    Unreachable(String),
    /// The answer has fewer bytes than were asked for.
    #[error("the answer ended after {got} of {wanted} bytes, also after repeated attempts")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that were asked for.
        wanted: u64,
    },
    /// More data than a store takes in one object.
    #[error("it grew beyond {0} parts")]
    TooManyParts(usize),
    /// The settings make no sense.
    #[error("{0}")]
    Settings(String),
    /// Nobody vouches for a server: not even a connection without TLS can be prepared then.
    #[error("this machine has no certificates of authorities")]
    NoAuthorities,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    pub(crate) fn new(place: &impl ToString, doing: impl Into<String>, said: Said) -> Self {
        Self { place: place.to_string(), doing: doing.into(), said }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.said {
            Said::NoBucket(_) | Said::NoObject => io::ErrorKind::NotFound,
            Said::Exists => io::ErrorKind::AlreadyExists,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, Failure::new(error))
    }
}

impl Advice for StoreError {
    fn kind(&self) -> FailureKind {
        match self.said {
            Said::Exists | Said::Settings(_) | Said::NoAuthorities => FailureKind::Refused,
            _ => FailureKind::System,
        }
    }

    fn code(&self) -> Code {
        match self.said {
            Said::NoBucket(_) => Code::new("CC-O01"),
            Said::NoObject => Code::new("CC-O02"),
            Said::Region(_) => Code::new("CC-O03"),
            Said::NoCredentials(_) => Code::new("CC-O04"),
            Said::Credentials(_) => Code::new("CC-O05"),
            Said::Expired(_) => Code::new("CC-O06"),
            Said::Clock(_) => Code::new("CC-O07"),
            Said::Denied(_) => Code::new("CC-O08"),
            Said::Locked(_) => Code::new("CC-O09"),
            Said::Changed => Code::new("CC-O10"),
            Said::Exists => Code::new("CC-O11"),
            Said::Busy(_) => Code::new("CC-O12"),
            Said::Unreachable(_) => Code::new("CC-O13"),
            Said::Short { .. } => Code::new("CC-O14"),
            Said::TooManyParts(_) => Code::new("CC-O15"),
            Said::Settings(_) => Code::new("CC-O16"),
            Said::NoAuthorities => Code::new("CC-O26"),
            Said::Other(_) => Code::new("CC-O17"),
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match &self.said {
            Said::NoBucket(_) => {
                "Check the name of the bucket and the address of the service (AWS_ENDPOINT_URL, or `endpoint` in [store]). couchcopy \
                 does not create buckets."
            }
            Said::NoObject => "Check the key for typing errors.",
            Said::Region(_) => "Set AWS_REGION, or `region` in [store], to the region of the bucket.",
            Said::NoCredentials(_) => {
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT_NAME and \
                 AZURE_STORAGE_ACCOUNT_KEY, or give the machine an identity. docs/stores.md has an example for each store."
            }
            Said::Credentials(_) => {
                "Check the access key and its secret, and that they belong to this service."
            }
            Said::Expired(_) => {
                "Get new credentials, for example with `aws sso login`, and run the command again."
            }
            Said::Clock(_) => {
                "Set this machine's clock; `timedatectl status` shows whether it is synchronised."
            }
            Said::Denied(text) | Said::Other(text) if is_without_reason(text) => {
                "The store gives no reason with this answer. Check the access key and its secret, AWS_REGION, this machine's clock, and \
                 that the credentials have the permission for this request. docs/stores.md has the least permissions as a policy to \
                 copy."
            }
            Said::Denied(_) => {
                "Give the credentials the permission for this request. docs/stores.md has the least permissions as a policy to copy."
            }
            Said::Locked(_) => "Wait until the lock of the object ends, or choose another key.",
            Said::Changed => {
                "Run the command again when nothing writes to this key. Give each backup a key of its own."
            }
            Said::Exists => {
                "Choose another key, or give --overwrite to replace the object when the new one is complete."
            }
            Said::Busy(_) | Said::Short { .. } => {
                "Run the command again later. --limit-requests and --limit-rate reduce the load."
            }
            Said::Unreachable(_) => {
                "Check the network, the address of the service (AWS_ENDPOINT_URL, or `endpoint` in [store]) and its proxy, and run the \
                 command again."
            }
            Said::TooManyParts(_) => {
                "Save fewer databases in one archive, or save to a file and copy that to the store."
            }
            Said::Settings(_) => "Correct the setting, and run the command again.",
            Said::NoAuthorities => {
                "Install the package ca-certificates. Or name a file with certificates in PEM format: SSL_CERT_FILE, or `ca` in [store]."
            }
            Said::Other(_) => return None,
        };
        Some(text.to_owned())
    }
}

/// What a failed request says, sorted by what a user can do about it.
pub(crate) fn said(error: &object_store::Error) -> Said {
    let text = chain(error);
    let code = between(&text, "<Code>", "</Code>")
        .or_else(|| between(&text, "\"code\":\"", "\""))
        .unwrap_or_default();
    let brief = brief(&text);
    match code {
        "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" => return Said::NoBucket(brief),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return Said::Region(brief);
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => return Said::Expired(brief),
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "AuthenticationFailed"
        | "InvalidToken"
        | "InvalidAuthenticationInfo"
        | "AuthFailure" => return Said::Credentials(brief),
        "RequestTimeTooSkewed" => return Said::Clock(brief),
        "BlobImmutableDueToPolicy" | "ObjectLocked" | "InvalidObjectState" => return Said::Locked(brief),
        "SlowDown" | "ServiceUnavailable" | "ServerBusy" | "InternalError" => return Said::Busy(brief),
        _ => {}
    }
    // A tag that closes has a `/`, as keys have: without the message on its own, its last word would be missing.
    let message = between(&text, "<Message>", "</Message>").unwrap_or_default();
    let lower = format!("{} {}", without_keys(&text), without_keys(message)).to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    // A bucket with locked objects wants them, which the message says with "object lock".
    if code == "InvalidRequest" && has(&["x-amz-checksum", "content-md5"]) {
        return Said::Settings(format!(
            "the store wants a checksum with what is uploaded, so set AWS_CHECKSUM_ALGORITHM=sha256 ({brief})"
        ));
    }
    let is_locked = || {
        has(&["object lock", "object is locked", "worm", "retention policy", "retentionpolicy", "activehold"])
    };
    match error {
        object_store::Error::NotFound { .. }
            if has(&["bucket does not exist", "container does not exist"]) =>
        {
            Said::NoBucket(brief)
        }
        object_store::Error::NotFound { .. } => Said::NoObject,
        object_store::Error::AlreadyExists { .. } => Said::Exists,
        object_store::Error::Precondition { .. } => Said::Changed,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Generic { .. } if is_locked() => {
            Said::Locked(brief)
        }
        object_store::Error::PermissionDenied { .. } => Said::Denied(brief),
        object_store::Error::Unauthenticated { .. } => Said::Credentials(brief),
        _ if has(&[
            "169.254.169.254",
            "metadata.google.internal",
            "/metadata/",
            "/latest/api/token",
            "credential",
        ]) =>
        {
            Said::NoCredentials(brief)
        }
        _ if has(&["without location"]) => Said::Region(brief),
        _ if has(&["status code: 5", "429 too many", "status code: 429"]) => Said::Busy(brief),
        _ if has(&[
            "error sending request",
            "connect",
            "timed out",
            "timeout",
            "connection",
            "dns error",
        ]) =>
        {
            Said::Unreachable(brief)
        }
        _ => Said::Other(brief),
    }
}

/// Whether this is the answer to a request for an object's facts alone, which has no body that could name a reason.
fn is_without_reason(text: &str) -> bool {
    text.contains("performing HEAD")
}

/// Whether the same request may succeed when it is made again.
pub(crate) fn is_temporary(said: &Said) -> bool {
    matches!(said, Said::Busy(_) | Said::Unreachable(_) | Said::Short { .. } | Said::Other(_))
}

/// All causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let next = inner.to_string();
        if !text.contains(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = inner.source();
    }
    text
}

/// The text without what a user has chosen: a key may hold any word. Addresses of identities stay.
fn without_keys(text: &str) -> String {
    let identities = ["169.254.169.254", "metadata", "/latest/api/token"];
    let is_chosen = |word: &&str| word.contains('/') && !identities.iter().any(|part| word.contains(part));
    let mut words: Vec<&str> = text.split_whitespace().filter(|word| !is_chosen(word)).collect();
    // "Object at location KEY not found", "for path KEY:".
    for place in ["location", "path"] {
        if let Some(at) = words.iter().position(|word| *word == place).filter(|at| at + 1 < words.len()) {
            words.remove(at + 1);
        }
    }
    words.join(" ")
}

/// What a store says in a few words. Addresses lose their query, which may hold a signature, and of a longer answer only code and
/// message are kept: stores repeat what they have checked, keys among it.
fn brief(text: &str) -> String {
    const LONGEST: usize = 300;
    if let Some(code) = between(text, "<Code>", "</Code>") {
        return match between(text, "<Message>", "</Message>") {
            Some(message) if !message.is_empty() => {
                format!("{code}: {}", short(message.lines().next().unwrap_or_default(), LONGEST))
            }
            _ => code.to_owned(),
        };
    }
    if let Some(message) =
        between(text, "\"message\":", "\"}").or_else(|| between(text, "\"message\": \"", "\""))
    {
        return short(message.trim_matches(['"', ' ']), LONGEST).to_owned();
    }
    let words: Vec<&str> = text
        .split_whitespace()
        .map(
            |word| {
                if word.contains("://") { word.split(['?', '#']).next().unwrap_or_default() } else { word }
            },
        )
        .collect();
    short(&words.join(" "), LONGEST).to_owned()
}

fn short(text: &str, longest: usize) -> &str {
    match text.char_indices().nth(longest) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn answers_are_sorted_by_what_helps() {
        let xml = |code: &str| {
            format!("status code: 403: <?xml?><Error><Code>{code}</Code><Message>m</Message></Error>")
        };
        for (text, expected) in [
            (xml("NoSuchBucket"), "CC-O01"),
            (xml("PermanentRedirect"), "CC-O03"),
            (xml("ExpiredToken"), "CC-O06"),
            (xml("SignatureDoesNotMatch"), "CC-O05"),
            (xml("RequestTimeTooSkewed"), "CC-O07"),
            (xml("SlowDown"), "CC-O12"),
            ("error sending request for url (http://h/?X=1): tcp connect error".to_owned(), "CC-O13"),
            ("Error performing PUT http://169.254.169.254/latest/api/token".to_owned(), "CC-O04"),
        ] {
            let error = StoreError::new(&"s3://b/k", "read it", said(&generic(&text)));
            assert_eq!(error.code().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_key_is_not_taken_for_an_answer() {
        let missing = |path: &str| object_store::Error::NotFound { path: path.into(), source: "404".into() };
        assert_eq!(said(&missing("bookworm.tar.gz")), Said::NoObject);
        let denied =
            |path: &str| object_store::Error::PermissionDenied { path: path.into(), source: "403".into() };
        assert!(matches!(said(&denied("bookworm.tar.gz")), Said::Denied(_)));
        assert!(matches!(said(&denied("old/bookworm.tar.gz")), Said::Denied(_)));
        let odd = generic("unexpected answer of http://host/bucket/connection-timeout.tar.gz");
        assert!(matches!(said(&odd), Said::Other(_)));
        for message in ["Object is WORM protected", "Access Denied because object protected by object lock."]
        {
            let locked = generic(&format!(
                "status code: 403: <Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
            ));
            assert!(matches!(said(&locked), Said::Locked(_)), "{message}");
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        let sas =
            said(&generic("error sending request for url (https://a.blob/c/k?sv=1&sig=SECRET): closed"));
        let body = said(&generic(
            "<Error><Code>SignatureDoesNotMatch</Code><Message>m</Message><AWSAccessKeyId>SECRET</AWSAccessKeyId></Error>",
        ));
        for said in [sas, body] {
            assert!(!said.to_string().contains("SECRET"), "{said}");
        }
    }
}
