//! Personal data replaced by pseudonyms, for a copy of a database that developers get.
//!
//! Settings:
//! - `key`: a secret of 16 characters or more. The same text always becomes the same pseudonym under the same key, in every member,
//!   document and database, so that references still match; without the key nobody can compute which pseudonym a text has;
//! - `replace`: paths of members whose texts and numbers become pseudonyms, with everything in them;
//! - `keep`: paths in what `replace` names that stay;
//! - `remove`: paths of members that go;
//! - `drop-attachments`: whether attachments go;
//! - `keep-design-documents`: whether design documents stay, as they are, or go;
//! - `keep-passwords`: whether users keep the hashes of their passwords;
//! - `keep-replications`: whether the documents of `_replicator` stay. They hold passwords, and a copy would start them.
//!
//! A path is names with dots between them: `address.street`. `*` is any one member or element, `**` any number of them:
//! `contacts.*.email`, `**.phone`. Ids of documents, and members whose names begin with `_`, stay as they are.

mod path;
mod pseudonym;

use couchcopy_plugin::json::{Edit, Step, edit};
use couchcopy_plugin::{Description, DocumentFilter, Error, Setting, Settings, Verdict, export_filter};

use path::{Depths, Paths};
use pseudonym::Pseudonyms;

/// What CouchDB keeps of a user's password.
///
/// Source: `couch_users_db.erl` (`save_doc/1`).
const PASSWORD: [&str; 7] =
    ["password", "password_scheme", "password_sha", "pbkdf2_prf", "salt", "iterations", "derived_key"];
/// What CouchDB needs of a user: its name is that of its id.
const OF_USER: [&str; 3] = ["name", "roles", "type"];
/// What the ids of users begin with.
const USER: &str = "org.couchdb.user:";
const DESIGN: &str = "_design/";
/// The shortest key.
const KEY: usize = 16;

/// The filter with its settings, for one database.
pub struct Anonymise {
    pseudonyms: Pseudonyms,
    replace: Paths,
    keep: Paths,
    remove: Paths,
    drop_attachments: bool,
    keep_design_documents: bool,
    keep_passwords: bool,
    /// Whether all documents but design documents are left out.
    leaves_out: bool,
}

export_filter!(Anonymise);

impl DocumentFilter for Anonymise {
    fn describe() -> Description {
        Description::new("anonymise", env!("CARGO_PKG_VERSION"), "Replaces personal data by pseudonyms")
            .setting(Setting::required(
                "key",
                "A secret of 16 characters or more that pseudonyms are made with",
            ))
            .setting(Setting::optional("replace", "Paths of members whose content becomes pseudonyms"))
            .setting(Setting::optional("keep", "Paths in what `replace` names that stay as they are"))
            .setting(Setting::optional("remove", "Paths of members to leave out"))
            .setting(Setting::with_default("drop-attachments", "false", "Whether to leave attachments out"))
            .setting(Setting::with_default("keep-design-documents", "true", "Whether design documents stay"))
            .setting(Setting::with_default(
                "keep-passwords",
                "false",
                "Whether users keep their password hashes",
            ))
            .setting(Setting::with_default(
                "keep-replications",
                "false",
                "Whether documents of _replicator stay; they hold passwords, and a copy would start them",
            ))
    }

    fn configure(database: &str, settings: Settings<'_>) -> Result<Self, Error> {
        let key = settings.required("key")?;
        if key.chars().count() < KEY {
            return Err(Error::setting("key", format!("it has fewer than {KEY} characters")));
        }
        let paths =
            |name| Paths::parse(&settings.words(name)?).map_err(|problem| Error::setting(name, problem));
        let keep_replications = settings.flag("keep-replications")?;
        Ok(Self {
            pseudonyms: Pseudonyms::new(key),
            replace: paths("replace")?,
            keep: paths("keep")?,
            remove: paths("remove")?,
            drop_attachments: settings.flag("drop-attachments")?,
            keep_design_documents: settings.flag("keep-design-documents")?,
            keep_passwords: settings.flag("keep-passwords")?,
            leaves_out: !keep_replications && is_replicator(database),
        })
    }

    fn filter(&self, id: &str, document: &str) -> Result<Verdict, Error> {
        if id.starts_with(DESIGN) {
            return Ok(if self.keep_design_documents { Verdict::Keep } else { Verdict::LeaveOut });
        }
        if self.leaves_out {
            return Ok(Verdict::LeaveOut);
        }
        let is_user = id.starts_with(USER);
        let [mut replaced, mut kept, mut removed] =
            [&self.replace, &self.keep, &self.remove].map(Depths::new);
        let edited = edit(document, |path, value| {
            if let [Step::Member(name)] = path {
                let name = &**name;
                if name.starts_with('_') {
                    let goes = self.drop_attachments && name == "_attachments";
                    return if goes { Edit::Remove } else { Edit::Keep };
                }
                if is_user && OF_USER.contains(&name) {
                    return Edit::Keep;
                }
                if is_user && PASSWORD.contains(&name) {
                    return if self.keep_passwords { Edit::Keep } else { Edit::Remove };
                }
            }
            // Each has to see every step.
            let (is_replaced, is_kept, is_removed) =
                (replaced.within(path), kept.within(path), removed.at(path));
            if is_removed {
                Edit::Remove
            } else if is_replaced && !is_kept {
                self.pseudonyms.of(value).map_or(Edit::Enter, Edit::Replace)
            } else {
                Edit::Enter
            }
        })?;
        Ok(edited.map_or(Verdict::Keep, Verdict::Replace))
    }
}

/// Whether CouchDB would start the replications of a database.
///
/// Source: `couch_replicator.erl` (`is_replicator_db/1`): by its name, and so would other databases of that name.
fn is_replicator(database: &str) -> bool {
    database == "_replicator" || database.ends_with("/_replicator")
}

#[cfg(test)]
mod tests;
