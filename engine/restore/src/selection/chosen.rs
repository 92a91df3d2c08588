//! A selection applied to the databases of an archive.

use std::collections::HashMap;

use outcome::{Code, Failure, Result};

use super::{Rename, Selection};

/// The most names of a list in a message.
const TOLD: usize = 5;

/// The selected databases. Memory: their names, unless all databases are selected under their own names.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// New names by the names in the archive; `None`: all databases under their own names.
    names: Option<HashMap<Box<str>, Box<str>>>,
    /// Databases of the archive that are not selected.
    pub(crate) not_chosen: u64,
}

impl Chosen {
    /// Applies a selection to the names of an archive's databases, which are read if they are needed.
    ///
    /// Fails if a pattern matches nothing, nothing is left, a database to be renamed does not exist or is not selected, or two
    /// databases would have the same name.
    pub(crate) fn of(selection: &Selection, names: impl FnOnce() -> Result<Vec<String>>) -> Result<Self> {
        if selection.is_everything() {
            return Ok(Self::default());
        }
        let names = names()?;
        let matcher = selection.patterns.matcher();
        refuse_idle(&matcher.idle(names.iter().map(String::as_str)))?;
        let mut chosen: HashMap<Box<str>, Box<str>> = names
            .iter()
            .filter(|name| matcher.takes(name))
            .map(|name| (name.as_str().into(), name.as_str().into()))
            .collect();
        let not_chosen = (names.len() - chosen.len()) as u64;
        if chosen.is_empty() {
            return Err(Failure::refused(
                Code::new("CC-R15"),
                format!("none of the {} databases of the archive is selected", names.len()),
                "Change --only and --except so that at least one database remains. `couchcopy ls ARCHIVE` lists the databases.",
            ));
        }
        let mut renamed: HashMap<&str, &str> = HashMap::new();
        for Rename { from, to } in &selection.rename {
            let Some(name) = chosen.get_mut(from.as_str()) else {
                let why = if names.contains(from) { "is not selected" } else { "is not in the archive" };
                return Err(Failure::refused(
                    Code::new("CC-R16"),
                    format!("cannot rename {from} to {to}: {from} {why}"),
                    "Give the complete name of a database. --only and --except use the names in the archive. `couchcopy ls \
                     ARCHIVE` lists them.",
                ));
            };
            if renamed.insert(from, to).is_some_and(|before| before != to) {
                return Err(Failure::refused(
                    Code::new("CC-R17"),
                    format!("--rename gives two new names for {from}"),
                    "Give each database one new name.",
                ));
            }
            *name = to.as_str().into();
        }
        let mut taken: HashMap<&str, &str> = HashMap::with_capacity(chosen.len());
        for (from, to) in &chosen {
            if let Some(other) = taken.insert(to, from) {
                let mut both = [other, from];
                both.sort_unstable();
                return Err(Failure::refused(
                    Code::new("CC-R18"),
                    format!("{} and {} would both be named {to}", both[0], both[1]),
                    "Give the databases different names, or leave one out with --except.",
                ));
            }
        }
        drop(taken);
        Ok(Self { names: Some(chosen), not_chosen })
    }

    /// The new name of a database of the archive; `None` if it is not selected.
    pub(crate) fn name_of<'c>(&'c self, db: &'c str) -> Option<&'c str> {
        match &self.names {
            None => Some(db),
            Some(names) => names.get(db).map(|name| &**name),
        }
    }
}

/// Refuses options whose patterns match no database.
fn refuse_idle(idle: &[String]) -> Result<()> {
    if idle.is_empty() {
        return Ok(());
    }
    let named = &idle[..idle.len().min(TOLD)];
    Err(Failure::refused(
        Code::new("CC-R19"),
        format!("{} matches no database of the archive", named.join(", ")),
        "A pattern must match a complete name: * stands for any characters including /, ? for one character. `couchcopy ls \
         ARCHIVE` lists the databases. In a shell, put patterns in quotes.",
    ))
}
