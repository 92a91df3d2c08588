//! Which of an archive's databases are wanted, and under which names.

mod chosen;

use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};

pub(crate) use chosen::Chosen;

/// A choice among databases by their names, as the user gave it.
///
/// In a pattern `*` stands for any characters, `/` among them, and `?` for one. A system database like `_users` is a database
/// like any other: it is chosen where a pattern matches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Patterns of which one has to match; none: all databases.
    #[serde(default)]
    pub only: Vec<String>,
    /// Patterns of which none may match.
    #[serde(default)]
    pub except: Vec<String>,
    /// New names.
    #[serde(default)]
    pub rename: Vec<Rename>,
}

/// A new name for a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Its name in the archive.
    pub from: String,
    /// The name that it gets.
    pub to: String,
}

impl Selection {
    /// Reads what a command line says: patterns, and new names as `OLD=NEW`.
    ///
    /// Fails where a pattern is empty or a new name is not possible, whatever the archive.
    pub fn parse(only: &[String], except: &[String], rename: &[String]) -> Result<Self> {
        if only.iter().chain(except).any(String::is_empty) {
            return Err(Failure::refused(
                Code::new("CC-R11"),
                "an empty pattern matches no database",
                "Write a name, or a pattern like 'team/*'.",
            ));
        }
        let rename = rename.iter().map(|text| Rename::parse(text)).collect::<Result<Vec<_>>>()?;
        Ok(Self { only: only.to_vec(), except: except.to_vec(), rename })
    }

    /// Whether it leaves everything as it is.
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.except.is_empty() && self.rename.is_empty()
    }
}

impl Rename {
    /// Reads `OLD=NEW`.
    fn parse(text: &str) -> Result<Self> {
        let Some((from, to)) = text.split_once('=').filter(|(from, to)| !from.is_empty() && !to.is_empty())
        else {
            return Err(Failure::refused(
                Code::new("CC-R12"),
                format!("{text:?} does not say how a database is to be renamed"),
                "Write --rename OLD=NEW, with the whole name of one database of the archive and its new name.",
            ));
        };
        check_new_name(to)?;
        for name in [from, to] {
            if couchfile::database_name::is_system(name) {
                return Err(Failure::refused(
                    Code::new("CC-R13"),
                    format!("{from} cannot be renamed {to}: {name} means something to CouchDB by its name"),
                    "Leave system databases under their names, or leave them out with --except.",
                ));
            }
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned() })
    }
}

/// Refuses a name that CouchDB would not take for a database.
pub(crate) fn check_new_name(name: &str) -> Result<()> {
    couchfile::database_name::check(name).map_err(|why| {
        Failure::refused(
            Code::new("CC-R14"),
            format!("CouchDB would not take {name:?} for a database: {why}"),
            "Give another new name.",
        )
    })
}

#[cfg(test)]
mod tests;
