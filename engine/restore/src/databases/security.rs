//! Who may use a database while it is being restored, and when it is complete.
//!
//! Sources: `chttpd_db.erl` (`validate_security_can_be_edited/1`), `couch_db.erl` (`is_member/1`), `couch_users_db.erl`.

use couchfile::json::Json;
use node::Http;
use serde::Serialize;
use serde_json::json;
use snapshot::{SnapshotDatabase, Walk};

/// What the ids of user documents begin with.
const USER: &str = "org.couchdb.user:";
/// The database of users where the configuration names no other.
const USERS: &str = "_users";

/// The security object that lets nobody in but server admins.
pub(super) fn closed() -> Json {
    json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}}).into()
}

/// Whether it lets nobody in but server admins.
pub(super) fn is_closed(security: &Json) -> bool {
    ["members", "admins"].into_iter().all(|who| {
        let who = security.get(who);
        names(who, "names").is_empty()
            && !names(who, "roles").is_empty()
            && names(who, "roles").iter().all(|role| role.as_str() == Some("_admin"))
    })
}

/// Whether it lets everybody read.
pub(super) fn is_open(security: &Json) -> bool {
    // CouchDB 1.0 called them readers.
    let members = security.get("members").or_else(|| security.get("readers"));
    names(members, "names").is_empty() && names(members, "roles").is_empty()
}

fn names<'j>(who: Option<&'j Json>, key: &str) -> &'j [Json] {
    who.and_then(|who| who.get(key)?.as_array()).unwrap_or_default()
}

/// The database whose documents CouchDB takes for its users. It shows nobody the documents of others there, whatever the
/// security object says.
#[derive(Debug, Clone)]
pub(super) struct UserDatabase {
    name: String,
    is_editable: bool,
}

impl UserDatabase {
    /// Asks for its name, and whether its security object may be set.
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

    /// Whether a database of this name is it.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether the security object of a database of this name may be set.
    pub(super) fn lets_set_security_of(&self, name: &str) -> bool {
        self.is_editable || !self.is(name)
    }
}

/// Whether it was the database of users where it was saved.
fn is_users(name: &str) -> bool {
    name.rsplit('/').next() == Some(USERS)
}

/// Whether an archived database holds users, with the hashes of their passwords.
pub(super) fn holds_users(source: &SnapshotDatabase) -> bool {
    let mut found = source.in_order_around_damage(&Walk::prefix(USER)).into_iter().flatten();
    is_users(source.name()) || found.any(|found| found.is_ok())
}

/// What a database's security object becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// That of the archive.
    Archive(Json),
    /// Server admins only, though the archive has another: it would show others the hashes of passwords.
    Closed {
        /// What the archive has.
        archive: Json,
    },
}

impl Wanted {
    /// What the security object of a restored database of this name is to be.
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

/// What became of a database's security object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum SecurityResult {
    /// That of the archive.
    Restored,
    /// What it was before: documents were added to a database.
    Kept,
    /// Server admins only: the archive's would show others the hashes of passwords.
    Closed {
        /// What the archive has, as JSON text.
        archive: String,
    },
    /// CouchDB did not let it be set.
    NotSet {
        /// What the archive has, as JSON text.
        archive: String,
        /// What is there, as JSON text.
        found: String,
        /// What CouchDB said.
        reason: String,
    },
    /// The restore did not come that far; server admins only, unless documents were added to a database.
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
