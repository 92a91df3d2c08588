//! The configuration of a loaded CouchDB: its own directory, the loopback interface, and no activity of its own.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use outcome::{Code, Failure, Result};

use super::{Admin, random};

/// CouchDB's configuration, its arguments, and the file in which it records its port; below the private directory.
pub(super) const INI: &str = "load.ini";
pub(super) const ARGUMENTS: &str = "vm.args";
pub(super) const URI: &str = "couch.uri";
/// Where Erlang looks for its cookie.
const COOKIE: &str = ".erlang.cookie";

/// Parts of CouchDB that act on their own: replications, compaction, databases for every user, scans, a database of all changes.
/// Erlang does not start them, regardless of the databases and the configuration.
const NOT_STARTED: [&str; 5] =
    ["couch_replicator", "smoosh", "couch_peruser", "couch_scanner", "global_changes"];

/// The values of the configuration.
pub(super) struct Settings<'s> {
    pub(super) folder: &'s Path,
    pub(super) node: &'s str,
    pub(super) admin: &'s Admin,
    /// `None`: the system gives CouchDB a free one.
    pub(super) port: Option<u16>,
    pub(super) cors: bool,
}

impl Settings<'_> {
    /// Writes the files.
    pub(super) fn write(&self) -> Result<()> {
        for (name, mode, text) in [
            (INI, 0o600, self.ini()),
            (ARGUMENTS, 0o600, self.arguments()),
            // Nobody connects, so nobody has to know it. Erlang would make one that is easier to guess.
            (COOKIE, 0o400, random()?),
        ] {
            let path = self.folder.join(name);
            let written = File::options()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|e| Failure::io("write", path, e))?;
        }
        Ok(())
    }

    /// CouchDB replaces the password by its hash when it starts.
    fn ini(&self) -> String {
        let folder = self.folder.display();
        let port = self.port.unwrap_or(0);
        let admin = &self.admin.credentials;
        let cors = if self.cors {
            "enable_cors = true\n\
             ; Where CouchDB before 3.2 looks for it.\n\
             [httpd]\n\
             enable_cors = true\n\
             [cors]\n\
             origins = *\n\
             credentials = true\n\
             methods = GET, PUT, POST, HEAD, DELETE\n\
             headers = accept, authorization, content-type, origin, referer, x-csrf-token\n"
        } else {
            "enable_cors = false\n"
        };
        format!(
            "[couchdb]\n\
             database_dir = {folder}/data\n\
             view_index_dir = {folder}/data\n\
             uri_file = {folder}/{URI}\n\
             single_node = false\n\
             [cluster]\n\
             q = 2\n\
             n = 1\n\
             [chttpd_auth]\n\
             ; Whoever could read the hash of the admin's password could read the data, too.\n\
             iterations = 10\n\
             ; The users' hashes stay as they were archived.\n\
             upgrade_hash_on_auth = false\n\
             [log]\n\
             writer = stderr\n\
             level = warning\n\
             [replicator]\n\
             max_jobs = 0\n\
             [smoosh]\n\
             db_channels = ,\n\
             view_channels = ,\n\
             cleanup_channels = ,\n\
             [couch_peruser]\n\
             enable = false\n\
             [prometheus]\n\
             additional_port = false\n\
             [nouveau]\n\
             enable = false\n\
             [ssl]\n\
             enable = false\n\
             [admins]\n\
             {} = {}\n\
             [chttpd]\n\
             bind_address = 127.0.0.1\n\
             port = {port}\n\
             {cors}",
            admin.user, admin.password
        )
    }

    fn arguments(&self) -> String {
        let off: Vec<String> = NOT_STARTED.iter().map(|name| format!("{{{name},false}}")).collect();
        format!(
            "-name {}\n\
             # No port for other Erlang nodes, and no port mapper that would know of it.\n\
             -dist_listen false\n\
             -start_epmd false\n\
             -kernel inet_dist_use_interface {{127,0,0,1}}\n\
             -kernel prevent_overlapping_partitions false\n\
             -kernel permissions '[{}]'\n\
             -kernel error_logger silent\n\
             -sasl sasl_error_logger false\n\
             -os_mon start_cpu_sup false\n\
             -os_mon start_memsup false\n\
             -os_mon disk_space_check_interval 5\n\
             -os_mon disk_almost_full_threshold 1.0\n\
             +Bd -noinput\n\
             # It shares the machine with whatever its user does.\n\
             +sbwt none\n\
             +sbwtdcpu none\n\
             +sbwtdio none\n",
            self.node,
            off.join(",")
        )
    }
}

/// Refuses a name and password of an admin that CouchDB's configuration cannot hold.
pub(super) fn check_admin(user: &str, password: &str) -> Result<()> {
    let plain = |text: &str| {
        !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control) && !text.contains(" ;")
    };
    let hash = ["-hashed-", "-pbkdf2-", "-pbkdf2:"].iter().any(|start| password.starts_with(start));
    if !plain(user) || user.contains([':', '=', ' ']) || user.starts_with(['[', ';']) {
        return Err(Failure::refused(
            Code::new("CC-L04"),
            format!("{user:?} cannot be the name of an admin"),
            "Give --admin USER:PASSWORD; the name must not contain spaces, colons or equals signs.",
        ));
    }
    if !plain(password) || hash {
        return Err(Failure::refused(
            Code::new("CC-L05"),
            "CouchDB's configuration cannot hold this password",
            "Choose a password that does not begin or end with a space, does not contain ` ;` or control characters, and does \
             not look like a hash (-pbkdf2-…).",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (user, password) in
            [("admin", "simple"), ("anna@example.com", "with space; = and [sign]"), ("ädmin", "pässword")]
        {
            assert!(check_admin(user, password).is_ok(), "{user} {password}");
        }
        for (user, password) in [
            ("", "x"),
            ("a:b", "x"),
            ("a=b", "x"),
            ("[a", "x"),
            ("a\nb", "x"),
            ("a", ""),
            ("a", " x"),
            ("a", "x ;y"),
            ("a", "x\n[admins]\nb = c"),
            ("a", "-pbkdf2-00,00,1"),
        ] {
            let error = check_admin(user, password).unwrap_err();
            assert!(
                password.is_empty() || !error.to_string().contains(password) || password == "x",
                "{error}"
            );
        }
    }
}
