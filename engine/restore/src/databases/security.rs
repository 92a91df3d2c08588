//! Who may use a database during and after its restore.
//!
//! Sources: `chttpd_db.erl` (`validate_security_can_be_edited/1`), `couch_db.erl` (`is_member/1`), `couch_users_db.erl`.

use couchfile::json::Json;
use node::Http;
use serde::Serialize;
use serde_json::json;
use snapshot::{SnapshotDatabase, Walk};

/// The beginning of the ids of user documents.
const USER: &str = "org.couchdb.user:";
/// The default name of the database of users.
const USERS: &str = "_users";

/// The security object that gives access to server admins only.
pub(super) fn closed() -> Json {
    json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}}).into()
}

/// Whether a security object gives access to server admins only.
pub(super) fn is_closed(security: &Json) -> bool {
    ["members", "admins"].into_iter().all(|who| {
        let who = security.get(who);
        names(who, "names").is_empty()
            && !names(who, "roles").is_empty()
            && names(who, "roles").iter().all(|role| role.as_str() == Some("_admin"))
    })
}

/// Whether a security object lets everybody read.
pub(super) fn is_open(security: &Json) -> bool {
    // CouchDB 1.0 called them readers.
    let members = security.get("members").or_else(|| security.get("readers"));
    names(members, "names").is_empty() && names(members, "roles").is_empty()
}

fn names<'j>(who: Option<&'j Json>, key: &str) -> &'j [Json] {
    who.and_then(|who| who.get(key)?.as_array()).unwrap_or_default()
}

/// CouchDB's database of users. CouchDB shows nobody the documents of other users there, regardless of the security object.
#[derive(Debug, Clone)]
pub(super) struct UserDatabase {
    name: String,
    is_editable: bool,
}

impl UserDatabase {
    /// Queries its name and whether its security object may be set.
    pub(super) fn of(http: &Http) -> Self {
        // A node that does not tell its configuration has the defaults, as far as is known.
        let setting = |section, key| http.config(section, key).ok().flatten();
        Self {
            name: setting("chttpd_auth", "authentication_db").unwrap_or_else(|| USERS.into()),
            is_editable: setting("couchdb", "users_db_security_editable").as_deref() == Some("true"),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a database with this name is the database of users.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether the security object of a database with this name may be set.
    pub(super) fn lets_set_security_of(&self, name: &str) -> bool {
        self.is_editable || !self.is(name)
    }
}

/// Whether a database was the database of users of the saved cluster.
fn is_users(name: &str) -> bool {
    name.rsplit('/').next() == Some(USERS)
}

/// Whether an archived database holds users with their password hashes.
pub(super) fn holds_users(source: &SnapshotDatabase) -> bool {
    let mut found = source.in_order_around_damage(&Walk::prefix(USER)).into_iter().flatten();
    is_users(source.name()) || found.any(|found| found.is_ok())
}

/// The security object that a restored database gets.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// The security object of the archive.
    Archive(Json),
    /// Access for server admins only, because the archive's security object would show password hashes to others.
    Closed {
        /// The archive's security object.
        archive: Json,
    },
}

impl Wanted {
    /// Decides which security object a restored database with this name gets.
    pub(super) fn of(
        source: &SnapshotDatabase,
        to: &str,
        users: &UserDatabase,
    ) -> Result<Self, snapshot::Error> {
        let archive = source.security()?;
        // In the database of users CouchDB shows everybody only what is theirs; elsewhere members see everything.
        let shows = if is_users(source.name()) { !is_closed(&archive) } else { is_open(&archive) };
        if shows && !users.is(to) && holds_users(source) {
            return Ok(Self::Closed { archive });
        }
        Ok(Self::Archive(archive))
    }

    /// The security object.
    pub(super) fn object(&self) -> Json {
        match self {
            Self::Archive(archive) => archive.clone(),
            Self::Closed { .. } => closed(),
        }
    }
}

/// The result for a database's security object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum SecurityResult {
    /// The security object of the archive.
    Restored,
    /// The previous security object: documents were added to an existing database.
    Kept,
    /// Access for server admins only, because the archive's security object would show password hashes to others.
    Closed {
        /// The archive's security object as JSON text.
        archive: String,
    },
    /// CouchDB refused to set it.
    NotSet {
        /// The archive's security object as JSON text.
        archive: String,
        /// The current security object as JSON text.
        found: String,
        /// CouchDB's answer.
        reason: String,
    },
    /// The restore ended before it was set; access for server admins only, unless documents were added to an existing database.
    Unfinished,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in() {
        for (security, is_open_to_all, is_closed_to_all) in [
            ("{}", true, false),
            ("[]", true, false),
            (r#"{"members":{"names":[],"roles":[]},"admins":{"roles":["_admin"]}}"#, true, false),
            (r#"{"members":{"roles":["_admin"]}}"#, false, false),
            (r#"{"members":{"names":["a"]},"admins":{}}"#, false, false),
            (r#"{"readers":{"names":["a"]}}"#, false, false),
            (
                r#"{"admins":{"roles":["_admin"],"names":[]},"members":{"names":[],"roles":["_admin"]}}"#,
                false,
                true,
            ),
            (r#"{"admins":{"roles":["_admin"]},"members":{"roles":["_admin","x"]}}"#, false, false),
        ] {
            let security = Json::parse(security.as_bytes()).unwrap();
            assert_eq!(
                (is_open(&security), is_closed(&security)),
                (is_open_to_all, is_closed_to_all),
                "{security}"
            );
        }
        assert!(is_closed(&closed()) && !is_open(&closed()));
    }
}
