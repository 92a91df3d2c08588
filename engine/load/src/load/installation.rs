//! The CouchDB that is installed on this machine.

use std::env;
use std::path::{Path, PathBuf};

use node::Version;
use outcome::{Code, Failure, Result};

/// The environment variable that names the directory of the installed CouchDB.
const COUCHDB_HOME: &str = "COUCHDB_HOME";
/// Where packages install CouchDB.
const USUAL: &str = "/opt/couchdb";
/// The program that starts CouchDB and its first configuration file, below its directory.
const PROGRAM: &str = "bin/couchdb";
const DEFAULTS: &str = "etc/default.ini";

/// The directory of a release's applications, each in a directory `NAME-VERSION`; and CouchDB's own application.
const APPLICATIONS: &str = "lib";
const COUCHDB: &str = "couch-";

/// A release of CouchDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its directory.
    pub home: PathBuf,
}

impl Installation {
    /// The named release, else the release in `COUCHDB_HOME`, else a release in the usual places.
    ///
    /// Fails if there is none, or if a named directory does not hold a release.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        let variable = env::var_os(COUCHDB_HOME).filter(|value| !value.is_empty()).map(PathBuf::from);
        let on_path = || {
            let path = env::var_os("PATH")?;
            env::split_paths(&path).map(|folder| folder.join("couchdb")).find(|file| file.is_file())
        };
        Self::among(named, variable.as_deref(), Path::new(USUAL), on_path)
    }

    fn among(
        named: Option<&Path>,
        variable: Option<&Path>,
        usual: &Path,
        on_path: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Self> {
        for (home, by) in [(named, "--couchdb"), (variable, COUCHDB_HOME)] {
            if let Some(home) = home {
                return Self::in_folder(home).ok_or_else(|| {
                    missing(format!("no CouchDB is installed in {}, the value of {by}", home.display()))
                });
            }
        }
        if let Some(found) = Self::in_folder(usual) {
            return Ok(found);
        }
        // The program may be a link into the folder, from a folder of links.
        let found = on_path().and_then(|program| {
            let program = program.canonicalize().ok()?;
            Self::in_folder(program.parent()?.parent()?)
        });
        found.ok_or_else(|| {
            let usual = usual.display();
            missing(format!("no CouchDB is installed on this machine: none was found in {usual} or in PATH"))
        })
    }

    fn in_folder(home: &Path) -> Option<Self> {
        let found = Self { home: home.canonicalize().ok()? };
        (found.program().is_file() && found.defaults().is_file()).then_some(found)
    }

    /// The program that starts CouchDB.
    pub fn program(&self) -> PathBuf {
        self.home.join(PROGRAM)
    }

    /// Its version, if its directories name it.
    pub fn version(&self) -> Option<Version> {
        let folders = std::fs::read_dir(self.home.join(APPLICATIONS)).ok()?;
        let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
        let versions = names.filter_map(|name| {
            let version = name.strip_prefix(COUCHDB)?;
            version.starts_with(|c: char| c.is_ascii_digit()).then(|| Version::parse(version))
        });
        // After an update in place the folder of an older one may still be there.
        versions.max_by_key(|version| version.numbers)
    }

    /// Its first configuration file.
    pub fn defaults(&self) -> PathBuf {
        self.home.join(DEFAULTS)
    }
}

fn missing(problem: String) -> Failure {
    Failure::refused(
        Code::new("CC-L02"),
        problem,
        "Use `couchcopy serve ARCHIVE`, which answers from the archive itself and needs no CouchDB. If a CouchDB is installed, \
         give its directory (with bin/couchdb and etc/default.ini) with --couchdb or in COUCHDB_HOME.",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn install(home: &Path) {
        for file in [PROGRAM, DEFAULTS] {
            let file = home.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
    }

    #[test]
    fn its_folders_name_its_version() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path());
        let installation = Installation::in_folder(dir.path()).unwrap();
        assert_eq!(installation.version(), None);
        for folder in ["couch_epi-9.9.9", "couch-3.1.2", "couch-3.3.3", "couch-quickjs"] {
            fs::create_dir_all(dir.path().join("lib").join(folder)).unwrap();
        }
        assert_eq!(installation.version().unwrap().text, "3.3.3");
    }

    #[test]
    fn the_one_that_is_named_counts_then_the_variable_then_the_usual_places() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [named, variable, usual, linked] = ["named", "variable", "usual", "linked"].map(|n| root.join(n));
        for home in [&named, &variable, &usual, &linked] {
            install(home);
        }
        let link = root.join("couchdb");
        std::os::unix::fs::symlink(linked.join(PROGRAM), &link).unwrap();
        let found = |named: Option<&Path>, variable: Option<&Path>, usual: &Path, path: Option<&Path>| {
            Installation::among(named, variable, usual, || path.map(Path::to_owned)).map(|found| found.home)
        };
        let none = root.join("none");
        assert_eq!(found(Some(&named), Some(&variable), &usual, Some(&link)).unwrap(), named);
        assert_eq!(found(None, Some(&variable), &usual, Some(&link)).unwrap(), variable);
        assert_eq!(found(None, None, &usual, Some(&link)).unwrap(), usual);
        assert_eq!(found(None, None, &none, Some(&link)).unwrap(), linked);
        for error in [
            found(Some(&none), Some(&variable), &usual, None),
            found(None, Some(&none), &usual, None),
            found(None, None, &none, None),
        ] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), outcome::FailureKind::Refused);
            assert!(error.remedy().unwrap().contains("couchcopy serve"));
        }
    }
}
