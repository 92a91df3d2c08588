//! Names of entries: what is a name at all, and which names a backup holds.

/// Name of the first entry, couchcopy's description of the backup.
pub const METADATA: &str = "metadata.yaml";
/// Name of the entry that holds the shard maps.
pub const DBS: &str = "data/_dbs.couch";
/// Name of the entry that lists every other entry.
pub const MANIFEST: &str = "couchcopy-manifest.jsonl";
/// Name of the last entry, the table of contents.
pub const TOC: &str = "couchcopy-toc.json";

/// What the names of configuration files begin with; node and path follow, without a `/`.
///
/// couchcopy 0.2.4 unpacks an archive into a node's data folder, every name without its first component. What has one
/// component only stays outside: a password does not come to lie in a data folder.
pub const CONFIG: &str = "config,";

/// Folders that hold all other entries.
const FOLDERS: [&str; 2] = ["data/.shards/", "data/shards/"];
/// Shards that were split off while the backup ran; a digit and a `/` follow.
const LATE: &str = "data/shards~";

/// Longest name in bytes.
pub(crate) const MAX_NAME: usize = 4096;

/// Says why `name` is not the relative path of a file below the current folder.
pub(crate) fn check_path(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.len() > MAX_NAME {
        return Err("the name is longer than 4096 bytes");
    }
    if name.contains('\0') {
        return Err("the name contains a NUL byte");
    }
    if name.starts_with('/') {
        return Err("the name is absolute");
    }
    for component in name.split('/') {
        match component {
            "" => return Err("the name has an empty component"),
            "." => return Err("the name has a component '.'"),
            ".." => return Err("the name has a component '..'"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether `name` is that of a configuration file.
pub(crate) fn is_config(name: &str) -> bool {
    name.strip_prefix(CONFIG).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// Says why `name` is not the name of a data entry in an archive of our format.
pub(crate) fn check_data_name(name: &str) -> Result<(), &'static str> {
    check_path(name)?;
    let is_late =
        name.strip_prefix(LATE).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9', b'/', ..]));
    if name == DBS || FOLDERS.iter().any(|folder| name.starts_with(folder)) || is_late || is_config(name) {
        Ok(())
    } else {
        Err(
            "only metadata.yaml, data/_dbs.couch, files below data/.shards and data/shards, and config,… without a \
             folder belong here",
        )
    }
}

/// What [`NameOrder::next`] objects to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// The same name again.
    Duplicate,
    /// For the reason given.
    Refused(String),
}

/// Takes the names of an archive one after the other and objects to what breaks their order:
/// `metadata.yaml`, then data entries, strictly ascending by bytes, no file used as a folder.
#[derive(Debug, Default)]
pub(crate) struct NameOrder {
    started: bool,
    last: String,
    /// Lengths of those earlier names that are prefixes of the last one (itself included), ascending.
    /// Names with a common prefix stand together, so these are all that can be its folder.
    prefixes: Vec<usize>,
    config: bool,
}

impl NameOrder {
    /// An order that goes on in the middle of an archive.
    pub(crate) fn in_the_middle() -> Self {
        Self { started: true, ..Self::default() }
    }

    /// Whether configuration files are among the names.
    pub(crate) fn has_config(&self) -> bool {
        self.config
    }

    /// Takes the next name.
    pub(crate) fn next(&mut self, name: &str) -> Result<(), OrderError> {
        if !self.started {
            if name != METADATA {
                return Err(OrderError::Refused(format!("the first entry has to be {METADATA}")));
            }
            self.started = true;
            return Ok(());
        }
        if name == METADATA {
            return Err(OrderError::Duplicate);
        }
        check_data_name(name).map_err(|reason| OrderError::Refused(reason.to_owned()))?;
        match name.cmp(self.last.as_str()) {
            std::cmp::Ordering::Greater => {}
            std::cmp::Ordering::Equal => return Err(OrderError::Duplicate),
            std::cmp::Ordering::Less => {
                return Err(OrderError::Refused(format!(
                    "names have to ascend, and it comes after {:?}",
                    self.last
                )));
            }
        }
        let common = name.bytes().zip(self.last.bytes()).take_while(|(ours, theirs)| ours == theirs).count();
        while self.prefixes.last().is_some_and(|&length| length > common) {
            self.prefixes.pop();
        }
        if let Some(&folder) =
            self.prefixes.iter().find(|&&length| name.as_bytes().get(length) == Some(&b'/'))
        {
            let folder = name.get(..folder).unwrap_or_default();
            return Err(OrderError::Refused(format!("{folder:?} is a file, not a folder")));
        }
        self.config |= is_config(name);
        self.prefixes.push(name.len());
        self.last.clear();
        self.last.push_str(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[&str]) -> Result<(), OrderError> {
        let mut order = NameOrder::default();
        names.iter().try_for_each(|name| order.next(name))
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for name in ["", "/a", "a//b", "a/", "./a", "a/./b", "../a", "a/..", "a\0b", &"a".repeat(4097)] {
            assert!(check_path(name).is_err(), "{name:?}");
        }
        for name in ["a", "..a", "a..b/c", "...", ".shards/x", &"a".repeat(4096)] {
            assert!(check_path(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn only_data_of_couchdb_is_taken() {
        for name in [
            "data/_dbs.couch",
            "data/.shards/a/b",
            "data/shards/a$()+-/b.1.couch",
            "config,n@h,etc,local.ini",
        ] {
            assert!(check_data_name(name).is_ok(), "{name}");
        }
        for name in [
            "data/shards",
            "data/shards/",
            "data/_users.couch",
            "other",
            MANIFEST,
            TOC,
            "config,",
            "config,n@h/local.ini",
            "config/local.ini",
        ] {
            assert!(check_data_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_ascend_and_come_once() {
        assert_eq!(order(&[METADATA, "data/.shards/a", DBS, "data/shards/a", "data/shards/b"]), Ok(()));
        assert!(matches!(order(&[DBS]), Err(OrderError::Refused(_))));
        assert_eq!(order(&[METADATA, METADATA]), Err(OrderError::Duplicate));
        assert_eq!(order(&[METADATA, DBS, DBS]), Err(OrderError::Duplicate));
        assert!(matches!(order(&[METADATA, "data/shards/b", "data/shards/a"]), Err(OrderError::Refused(_))));
    }

    #[test]
    fn configuration_comes_before_data_and_is_noticed() {
        let mut order = NameOrder::default();
        for (name, config) in [(METADATA, false), ("config,n,etc,vm.args", true), (DBS, true)] {
            order.next(name).unwrap();
            assert_eq!(order.has_config(), config, "{name}");
        }
        assert!(matches!(order.next("config,n,etc,z.ini"), Err(OrderError::Refused(_))));
    }

    #[test]
    fn a_file_is_no_folder_even_with_names_between() {
        let between = [METADATA, "data/shards/a", "data/shards/a$", "data/shards/a.x/y", "data/shards/a/b"];
        assert!(order(&between[..4]).is_ok());
        assert!(
            matches!(order(&between), Err(OrderError::Refused(reason)) if reason.contains("\"data/shards/a\""))
        );
    }
}
