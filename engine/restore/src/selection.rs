//! The selection of an archive's databases and their new names.

mod chosen;

use contents::NamePatterns;
use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};

pub(crate) use chosen::Chosen;

/// The user's choice of databases by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The patterns that choose databases.
    #[serde(flatten)]
    pub patterns: NamePatterns,
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
    /// Reads the options of a command line: patterns, and new names as `OLD=NEW`.
    ///
    /// Fails if a pattern is empty or a new name is not valid, regardless of the archive.
    pub fn parse(only: &[String], except: &[String], rename: &[String]) -> Result<Self> {
        let patterns = NamePatterns::new(only, except)?;
        let rename = rename.iter().map(|text| Rename::parse(text)).collect::<Result<Vec<_>>>()?;
        Ok(Self { patterns, rename })
    }

    /// Whether the selection includes all databases under their own names.
    pub fn is_everything(&self) -> bool {
        self.patterns.is_everything() && self.rename.is_empty()
    }
}

impl Rename {
    /// Reads `OLD=NEW`.
    fn parse(text: &str) -> Result<Self> {
        let Some((from, to)) = text.split_once('=').filter(|(from, to)| !from.is_empty() && !to.is_empty())
        else {
            return Err(Failure::refused(
                Code::new("CC-R12"),
                format!("{text:?} does not have the form OLD=NEW"),
                "Give --rename OLD=NEW, with the complete name of one database of the archive and its new name.",
            ));
        };
        check_new_name(to)?;
        for name in [from, to] {
            if couchfile::database_name::is_system(name) {
                return Err(Failure::refused(
                    Code::new("CC-R13"),
                    format!("cannot rename {from} to {to}: {name} is a system database"),
                    "Keep the names of system databases, or leave them out with --except.",
                ));
            }
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned() })
    }
}

/// Refuses a name that is not valid for a database.
pub(crate) fn check_new_name(name: &str) -> Result<()> {
    couchfile::database_name::check(name).map_err(|why| {
        Failure::refused(
            Code::new("CC-R14"),
            format!("{name:?} is not a valid name for a database: {why}"),
            "Choose another new name.",
        )
    })
}

#[cfg(test)]
mod tests;
