//! Names of databases: which ones CouchDB takes.
//!
//! Source: `couch_db.erl` (`validate_dbname/1`, `is_system_db_name/1`), `couch_db.hrl` (`SYSTEM_DATABASES`).

/// Names that mean something to CouchDB itself, alone or after a prefix with `/`.
const SYSTEM: [&str; 6] = ["_dbs", "_global_changes", "_metadata", "_nodes", "_replicator", "_users"];
/// Bytes that a part between two `/` may have: a file system takes 255 for a name, and `.1795355234.couch` follows.
const LONGEST_PART: usize = 238;
/// Bytes that a complete name may have: it is a path below a data directory, and a system accepts 4096 bytes for a path.
const LONGEST: usize = 2048;

/// Why CouchDB would not take a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has another form.
    #[error("a name begins with a letter a-z and goes on with a-z, 0-9 and _ $ ( ) + - / only")]
    Form,
    /// It is a path that names no file.
    #[error("a name must not end with / or have // in it, for it becomes a path of files")]
    Path,
    /// No file can have it.
    #[error("a name has at most {LONGEST_PART} bytes between two / and at most {LONGEST} in all")]
    Length,
}

/// Checks that CouchDB takes a name for a database.
pub fn check(name: &str) -> Result<(), NameError> {
    if !is_plain(name) && !is_system(name) {
        return Err(NameError::Form);
    }
    if name.split('/').any(str::is_empty) {
        return Err(NameError::Path);
    }
    if name.len() > LONGEST || name.split('/').any(|part| part.len() > LONGEST_PART) {
        return Err(NameError::Length);
    }
    Ok(())
}

/// Whether a database of that name is a system database, such as `_users`.
pub fn is_system(name: &str) -> bool {
    match name.rsplit_once('/') {
        None => SYSTEM.contains(&name),
        Some((prefix, last)) => SYSTEM.contains(&last) && is_plain(prefix),
    }
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || matches!(b, b'_' | b'$' | b'(' | b')' | b'+' | b'-' | b'/')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_couchdb_takes() {
        let long = "a".repeat(238);
        let deep = format!("{long}/{long}");
        for name in ["a", "na/me+with$spe(c)i-a_l/x", "a0", "_users", "team/_replicator", &long, &deep] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_couchdb_refuses() {
        for name in
            ["", "A", "aB", "0a", "_other", "a b", "a.b", "ä", "a\n", "A/_users", "/_users", "a=b", "*"]
        {
            assert_eq!(check(name), Err(NameError::Form), "{name:?}");
        }
        for name in ["a/", "a//b", "a//_users"] {
            assert_eq!(check(name), Err(NameError::Path), "{name:?}");
        }
        for name in ["a".repeat(239), format!("b/{}", "a".repeat(239)), "a/".repeat(1024) + "b"] {
            assert_eq!(check(&name), Err(NameError::Length), "{name:?}");
        }
    }

    #[test]
    fn what_is_couchdbs_own() {
        for name in ["_users", "_replicator", "_global_changes", "team/_users"] {
            assert!(is_system(name), "{name}");
        }
        for name in ["users", "_usersx", "a_users", "_users/a", "Team/_users"] {
            assert!(!is_system(name), "{name}");
        }
    }
}
