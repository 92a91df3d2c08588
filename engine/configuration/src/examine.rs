//! Compares a TOML table with the keys that are known, and lists every mistake with its place.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{Mistake, Text};
use crate::shape::{Key, Kind, Table};

/// How similar a key must be to be suggested: 1 is equal.
const SIMILAR: f64 = 0.75;

/// A path that a key names, and the byte at which it stands.
pub(crate) struct NamedPath {
    pub(crate) at: usize,
    pub(crate) key: String,
    pub(crate) path: String,
    /// Whether it is the program of a command.
    pub(crate) is_program: bool,
}

/// What was found in a file.
pub(crate) struct Examination<'t> {
    text: Text<'t>,
    pub(crate) mistakes: Vec<Mistake>,
    /// Files that have to be there.
    pub(crate) files: Vec<NamedPath>,
    /// Where each table with a name of the user's begins: `cluster.prod`.
    pub(crate) tables: Vec<(String, usize)>,
}

impl<'t> Examination<'t> {
    /// Compares a text with a table of keys.
    pub(crate) fn of(file: &'t Path, text: &'t str, shape: &Table) -> Self {
        let mut examination =
            Self { text: Text { file, text }, mistakes: Vec::new(), files: Vec::new(), tables: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            examination.table("", 0, table.get_ref(), shape);
        }
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            examination.add(at, "", error.message());
        }
        examination.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        examination
    }

    /// Adds a mistake.
    pub(crate) fn add(&mut self, at: usize, key: &str, problem: impl Into<String>) {
        let mistake = self.text.mistake(at, key, problem);
        self.mistakes.push(mistake);
    }

    /// Adds a mistake of a table with a name of the user's.
    pub(crate) fn add_to_table(&mut self, table: &str, problem: impl Into<String>) {
        let at = self.tables.iter().find(|(name, _)| name == table).map_or(0, |(_, at)| *at);
        self.add(at, table, problem);
    }

    fn table(&mut self, path: &str, at: usize, table: &DeTable<'_>, shape: &Table) {
        for (name, value) in table {
            let key = joined(path, name.get_ref());
            match shape.keys.iter().find(|known| known.name == name.get_ref().as_ref()) {
                Some(known) => self.value(&key, value, &known.kind),
                None => self.add(name.span().start, &key, unknown(name.get_ref(), shape.keys)),
            }
        }
        for required in shape.keys.iter().filter(|key| key.is_required) {
            if !table.keys().any(|name| name.get_ref().as_ref() == required.name) {
                self.add(
                    at,
                    path,
                    format!("the key {} is missing: {}", required.name, required.kind.expected()),
                );
            }
        }
    }

    fn value(&mut self, key: &str, value: &Spanned<DeValue<'_>>, kind: &Kind) {
        let at = value.span().start;
        let wrong = |examination: &mut Self| {
            let found = value.get_ref().type_str();
            examination.add(at, key, format!("expected {}, found {}", kind.expected(), article(found)));
        };
        match (kind, value.get_ref()) {
            (Kind::Flag, DeValue::Boolean(_)) => {}
            (Kind::Count, DeValue::Integer(number)) => {
                if u32::from_str_radix(number.as_str(), number.radix()).is_err() {
                    self.add(at, key, "expected a number from 0 to 4294967295");
                }
            }
            (Kind::Text(_, check), DeValue::String(text)) => {
                if let Err(problem) = check(text) {
                    self.add(at, key, problem);
                }
            }
            (Kind::File, DeValue::String(path)) => self.path(at, key, path, false),
            (Kind::Path, DeValue::String(path)) => {
                if path.is_empty() {
                    self.add(at, key, "the path is empty");
                }
            }
            (Kind::Plugin, DeValue::String(text)) => {
                if let Err(problem) = text.parse::<site::PluginReference>() {
                    self.add(at, key, problem.to_string());
                }
            }
            (Kind::Plugin, DeValue::Table(table)) => self.plugin(key, at, table),
            (Kind::Command, DeValue::Array(words)) => {
                let is_text = |word: &Spanned<DeValue<'_>>| word.get_ref().is_str();
                match words.iter().next().and_then(|program| program.get_ref().as_str()) {
                    Some(program) if words.iter().all(is_text) => {
                        if program.contains('/') || program.is_empty() {
                            self.path(at, key, program, true);
                        }
                    }
                    _ => wrong(self),
                }
            }
            (Kind::OneOrMany(kind) | Kind::Many(kind), DeValue::Array(values)) => {
                for (i, value) in values.iter().enumerate() {
                    self.value(&format!("{key}[{i}]"), value, kind);
                }
            }
            (Kind::OneOrMany(one), _) => self.value(key, value, one),
            (Kind::Table(shape), DeValue::Table(table)) => self.table(key, at, table, shape),
            (Kind::Named(shape), DeValue::Table(tables)) => {
                for (name, value) in tables {
                    let key = joined(key, name.get_ref());
                    self.tables.push((key.clone(), name.span().start));
                    match value.get_ref() {
                        DeValue::Table(table) => self.table(&key, name.span().start, table, shape),
                        other => {
                            let found = article(other.type_str());
                            self.add(value.span().start, &key, format!("expected a table, found {found}"));
                        }
                    }
                }
            }
            (Kind::Tables(shape), DeValue::Array(tables)) => {
                for (i, value) in tables.iter().enumerate() {
                    let key = format!("{key}[{i}]");
                    match value.get_ref() {
                        DeValue::Table(table) => self.table(&key, value.span().start, table, shape),
                        other => {
                            let found = article(other.type_str());
                            self.add(value.span().start, &key, format!("expected a table, found {found}"));
                        }
                    }
                }
            }
            _ => wrong(self),
        }
    }

    fn path(&mut self, at: usize, key: &str, path: &str, is_program: bool) {
        if path.is_empty() {
            self.add(at, key, "the path is empty");
        } else {
            self.files.push(NamedPath { at, key: key.to_owned(), path: path.to_owned(), is_program });
        }
    }

    /// The settings belong to the plugin, which knows them; here, their types are checked.
    fn plugin(&mut self, key: &str, at: usize, table: &DeTable<'_>) {
        let mut has_name = false;
        for (name, value) in table {
            let key = joined(key, name.get_ref());
            let is_plugin = name.get_ref().as_ref() == "plugin";
            has_name |= is_plugin;
            let is_fine = match value.get_ref() {
                DeValue::String(_) => true,
                DeValue::Boolean(_) | DeValue::Integer(_) => !is_plugin,
                DeValue::Array(words) => !is_plugin && words.iter().all(|word| word.get_ref().is_str()),
                _ => false,
            };
            if !is_fine {
                let expected =
                    if is_plugin { "a text" } else { "a text, a number, true, false or a list of words" };
                let found = article(value.get_ref().type_str());
                self.add(value.span().start, &key, format!("expected {expected}, found {found}"));
            }
        }
        if !has_name {
            self.add(at, key, "the key plugin is missing: the name or path of a plugin");
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn article(kind: &str) -> String {
    let is_vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if is_vowel { "an" } else { "a" })
}

/// The message of a key that is not known, with the nearest one that is.
fn unknown(name: &str, keys: &[Key]) -> String {
    let near = keys.iter().map(|key| (strsim::jaro_winkler(name, key.name), key.name));
    match near.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((similarity, nearest)) if similarity >= SIMILAR => {
            format!("unknown key; did you mean {nearest}?")
        }
        _ => {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("unknown key; known are {}", known.join(", "))
        }
    }
}
