//! Databases that CouchDB keeps for single users and removes with them.
//!
//! Source: `couch_peruser.erl` (`user_db_name/2`, `changes_handler/3`).

use std::borrow::Cow;

use node::{Http, Method, encode};
use serde_json::json;

use super::security::UserDatabase;

/// The beginning of the ids of user documents.
const USER: &str = "org.couchdb.user:";

/// The configuration of databases for single users.
pub(super) struct PerUser {
    prefix: String,
    deletes: bool,
}

impl PerUser {
    /// Queries the node; `None` if it keeps no such databases.
    pub(super) fn of(http: &Http) -> Option<Self> {
        // A node that does not tell its configuration has the defaults, as far as is known.
        let setting = |key| http.config("couch_peruser", key).ok().flatten();
        (setting("enable").as_deref() == Some("true")).then(|| Self {
            prefix: setting("database_prefix").unwrap_or_else(|| "userdb-".into()),
            deletes: setting("delete_dbs").as_deref() == Some("true"),
        })
    }

    /// The user whose database has this name.
    fn user(&self, database: &str) -> Option<String> {
        let name = hex::decode(database.strip_prefix(&self.prefix)?).ok()?;
        String::from_utf8(name).ok().filter(|name| !name.is_empty())
    }

    /// The problem of restoring a database with this name.
    pub(super) fn warning(&self, http: &Http, users: &UserDatabase, database: &str) -> Option<String> {
        let user = self.user(database)?;
        let id = format!("{USER}{user}");
        let path = format!("/{}/{}", encode(users.name()), encode(&id));
        let answer = http.ask(Method::GET, &path, None).ok()?;
        if answer.status != 404 {
            return None;
        }
        let is_deleted = answer.body["reason"] == "deleted";
        let becomes = match (is_deleted, self.deletes) {
            (true, true) => format!(
                "is deleted, and [couch_peruser] delete_dbs is true: CouchDB deletes {database} again when it starts"
            ),
            (true, false) => format!(
                "is deleted: CouchDB removes the user from the security object of {database} when it starts"
            ),
            (false, _) => "does not exist, so nobody can log in as that user".into(),
        };
        let body = json!({"name": user, "password": "NEW_PASSWORD", "roles": [], "type": "user"}).to_string();
        let quoted = |text: &str| shlex::try_quote(text).map(Cow::into_owned).unwrap_or_default();
        Some(format!(
            "{database} belongs to the user {user} (couch_peruser), whose document {id} {becomes}. Create that document before \
             the restore: curl -u ADMIN -X PUT {} -H 'Content-Type: application/json' -d {}",
            quoted(&format!("{}{path}", http.url())),
            quoted(&body)
        ))
    }

    /// The problem of restoring this number of deleted documents into the database of users.
    pub(super) fn warning_of_users(&self, database: &str, deleted: u64) -> Option<String> {
        (self.deletes && deleted > 0).then(|| {
            format!(
                "{database} gets {deleted} deleted documents, and [couch_peruser] delete_dbs is true: CouchDB deletes the \
                 databases {}… of the users whose documents this deletes",
                self.prefix
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_the_names_of_their_databases() {
        let per_user = PerUser { prefix: "userdb-".into(), deletes: true };
        for (name, user) in [
            ("userdb-626f62", Some("bob")),
            ("userdb-c3a9", Some("é")),
            ("userdb-", None),
            ("userdb-62f", None),
            ("userdb-ff", None),
            ("userdb-xyz0", None),
            ("other-626f62", None),
        ] {
            assert_eq!(per_user.user(name).as_deref(), user, "{name}");
        }
        assert!(per_user.warning_of_users("_users", 0).is_none());
    }
}
