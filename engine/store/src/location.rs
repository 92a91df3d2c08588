//! How something in a store is named.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use outcome::{Advice, Code, FailureKind};

/// A service that keeps objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Amazon S3 and everything that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    /// The beginning of a name, without `://`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    /// What the service calls a bucket.
    pub fn bucket(self) -> &'static str {
        match self {
            Self::S3 | Self::Google => "bucket",
            Self::Azure => "container",
        }
    }
}

/// An object, or a prefix of objects, in a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectLocation {
    /// The service.
    pub service: Service,
    /// Bucket or container.
    pub bucket: String,
    /// The key, without a `/` at its beginning. May be empty.
    pub key: String,
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.service.scheme(), self.bucket, self.key)
    }
}

/// Where something lies: a path, an object in a store, or standard input or output.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// Standard input or standard output: `-`.
    Standard,
    /// A file.
    Path(PathBuf),
    /// An object in a store.
    Object(ObjectLocation),
    /// A part of something that is at another location: `LOCATION::NAME`.
    Member(Box<Location>, String),
}

impl Advice for LocationError {
    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn code(&self) -> Code {
        Code::new("CC-O20")
    }

    fn remedy(&self) -> Option<String> {
        Some("Write a path, s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY, or - for standard input or output.".to_owned())
    }
}

impl Default for Location {
    fn default() -> Self {
        Self::Path(PathBuf::new())
    }
}

/// Why a text names no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The service is known, but no bucket follows.
    #[error("{text:?} names no {what}: write {scheme}://{}/KEY", what.to_uppercase())]
    NoBucket {
        /// The text.
        text: String,
        /// The service's scheme.
        scheme: &'static str,
        /// What the service calls a bucket.
        what: &'static str,
    },
    /// The key has parts that stores or their tools do not keep apart.
    #[error("{text:?} is no usable key: {reason}")]
    Key {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A service that couchcopy does not know.
    #[error(
        "{text:?} begins with {scheme}://, which couchcopy does not know: use a path, s3://, gs:// or az://"
    )]
    Scheme {
        /// The text, without user name and password.
        text: String,
        /// What comes before `://`.
        scheme: String,
    },
}

impl Location {
    /// Reads a location as a user writes it.
    pub fn parse(text: &OsStr) -> Result<Self, LocationError> {
        let Some(utf8) = text.to_str() else { return Ok(Self::Path(text.into())) };
        if utf8 == "-" {
            return Ok(Self::Standard);
        }
        // A file may have such a name.
        if let Some((whole, member)) = utf8.rsplit_once("::")
            && !whole.is_empty()
            && !Path::new(utf8).exists()
        {
            let whole = Box::new(Self::parse(OsStr::new(whole))?);
            return Ok(Self::Member(whole, member.to_owned()));
        }
        let Some((scheme, rest)) = utf8.split_once("://") else { return Ok(Self::Path(text.into())) };
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return Ok(Self::Path(text.into()));
        }
        let Some(service) = Service::ALL.into_iter().find(|service| service.scheme() == scheme) else {
            return Err(LocationError::Scheme {
                text: without_user(scheme, rest),
                scheme: scheme.to_owned(),
            });
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            let (scheme, what) = (service.scheme(), service.bucket());
            return Err(LocationError::NoBucket { text: utf8.to_owned(), scheme, what });
        }
        check_key(key).map_err(|reason| LocationError::Key { text: utf8.to_owned(), reason })?;
        Ok(Self::Object(ObjectLocation { service, bucket: bucket.to_owned(), key: key.to_owned() }))
    }

    /// The path, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Standard | Self::Object(_) | Self::Member(..) => None,
        }
    }
}

/// A URL of an unknown service may hold a password.
fn without_user(scheme: &str, rest: &str) -> String {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://…{}", rest.get(user.len()..).unwrap_or_default()),
        None => format!("{scheme}://{rest}"),
    }
}

fn check_key(key: &str) -> Result<(), &'static str> {
    let key = key.strip_suffix('/').unwrap_or(key);
    if key.is_empty() {
        return Ok(());
    }
    for part in key.split('/') {
        match part {
            "" => return Err("it has two / in a row"),
            "." | ".." => return Err("it has a part that is . or .."),
            _ if part.chars().any(char::is_control) => return Err("it has a control character"),
            _ => {}
        }
    }
    Ok(())
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        Self::parse(OsStr::new(text))
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("-"),
            Self::Path(path) => path.display().fmt(f),
            Self::Object(object) => object.fmt(f),
            Self::Member(whole, member) => write!(f, "{whole}::{member}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_paths_and_pipes_are_told_apart() {
        let object = |service, bucket: &str, key: &str| {
            Location::Object(ObjectLocation { service, bucket: bucket.into(), key: key.into() })
        };
        for (text, expected) in [
            ("-", Location::Standard),
            ("backup.tar.gz", Location::Path("backup.tar.gz".into())),
            ("./-", Location::Path("./-".into())),
            ("s3:/x", Location::Path("s3:/x".into())),
            ("/a dir/with:colon", Location::Path("/a dir/with:colon".into())),
            ("s3://b/k.tar.gz", object(Service::S3, "b", "k.tar.gz")),
            ("gs://b/a/k", object(Service::Google, "b", "a/k")),
            ("az://c", object(Service::Azure, "c", "")),
            ("s3://b/k::x", Location::Member(Box::new(object(Service::S3, "b", "k")), "x".into())),
            (
                "a::2026-11-27T18:00",
                Location::Member(Box::new(Location::Path("a".into())), "2026-11-27T18:00".into()),
            ),
            ("::x", Location::Path("::x".into())),
        ] {
            let parsed: Location = text.parse().unwrap();
            assert_eq!(parsed, expected, "{text}");
        }
        assert_eq!("s3://b/a/k".parse::<Location>().unwrap().to_string(), "s3://b/a/k");
    }

    #[test]
    fn names_that_cannot_be_meant_are_refused() {
        for text in ["s3://", "s3:///key", "az:///", "s3://b/a//b", "gs://b/../k", "s3://b//k", "s3://b/a\nb"]
        {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_service_is_named_without_its_password() {
        let error = "https://user:secret@host/key".parse::<Location>().unwrap_err().to_string();
        assert!(error.contains("https://") && !error.contains("secret"), "{error}");
    }
}
