//! The keys of the configuration file and of a cluster file.

use crate::duration::{seconds, share};
use crate::shape::{Key, Kind, Table};

#[allow(clippy::unnecessary_wraps)] // One of several functions of this form.
fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn duration(text: &str) -> Result<(), String> {
    seconds(text).map(drop)
}

fn percentage(text: &str) -> Result<(), String> {
    share(text).map(drop)
}

fn rate(text: &str) -> Result<(), String> {
    text.parse::<store::Rate>().map(drop).map_err(|error| error.to_string())
}

fn location(text: &str) -> Result<(), String> {
    match text.parse::<store::Location>() {
        Ok(store::Location::Path(_) | store::Location::Object(_)) if !text.is_empty() => Ok(()),
        Ok(_) => {
            Err("a repository is a directory, or a prefix in a store such as s3://backups/couchdb".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn url(text: &str) -> Result<(), String> {
    site::HttpAddress::parse(text).map(drop).map_err(|error| error.to_string())
}

const TEXT: Kind = Kind::Text("any text", any);
const DURATION: Kind = Kind::Text("a duration such as 90s, 24h or 7d", duration);

const fn key(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, doc, is_required: false, example }
}

const fn required(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, doc, is_required: true, example }
}

/// The configuration file.
pub(crate) static CONFIGURATION: Table = Table {
    doc: "The configuration of couchcopy.",
    keys: &[
        key(
            "cluster",
            Kind::Named(&CLUSTER),
            "{ prod = { file = \"prod.toml\" } }",
            "A cluster, under a name of your choice.",
        ),
        key(
            "repository",
            Kind::Named(&REPOSITORY),
            "{ main = { location = \"/backups\" } }",
            "A repository, under a name of your choice.",
        ),
        key(
            "health",
            Kind::Table(&HEALTH),
            "{ max_age = \"26h\" }",
            "When `couchcopy health` reports a warning or an error.",
        ),
        key(
            "hooks",
            Kind::Table(&HOOKS),
            "{ timeout = \"60s\" }",
            "Programs to run before and after a backup.",
        ),
        key(
            "state_dir",
            Kind::Path,
            "\"/var/lib/couchcopy\"",
            "Directory for what couchcopy records about its runs on this machine.",
        ),
    ],
};

/// One cluster in the configuration file.
pub(crate) static CLUSTER: Table = Table {
    doc: "A cluster: its nodes, and what of it is saved.",
    keys: &[
        key(
            "file",
            Kind::File,
            "\"prod.toml\"",
            "A cluster file that lists the nodes, in place of `node` and `defaults`.",
        ),
        key("defaults", Kind::Table(&DEFAULTS), "{ via = [\"ssh\"] }", "Defaults for all nodes."),
        key(
            "node",
            Kind::Tables(&NODE),
            "[{ host = \"localhost\", data = \"/opt/couchdb/data\" }]",
            "A node of the cluster.",
        ),
        key(
            "repository",
            TEXT,
            "\"main\"",
            "The name of the repository that backups go to. Not needed if there is only one.",
        ),
        key("only", Kind::Many(&TEXT), "[\"team/*\"]", "Save only the databases whose names match."),
        key("except", Kind::Many(&TEXT), "[\"logs/*\"]", "Leave out the databases whose names match."),
        key(
            "with_config",
            Kind::Flag,
            "true",
            "Save the nodes' configuration files, too. They hold passwords and keys.",
        ),
        key(
            "config_dir",
            Kind::Many(&Kind::Path),
            "[\"/opt/couchdb/etc\"]",
            "Directories with configuration files on every node.",
        ),
        key("check", Kind::Flag, "true", "Check trees, bodies and attachments of every shard that is saved."),
        key("paranoid", Kind::Flag, "true", "Open every file, even if its size and time have not changed."),
        key(
            "rsync_reuse_dir",
            Kind::Path,
            "\"/var/cache/couchcopy/mirror\"",
            "Keep a mirror of the nodes' files in this directory.",
        ),
    ],
};

/// A cluster file.
pub(crate) static CLUSTER_FILE: Table = Table {
    doc: "The nodes of a cluster.",
    keys: &[
        key("defaults", Kind::Table(&DEFAULTS), "{ via = [\"ssh\"] }", "Defaults for all nodes."),
        key(
            "node",
            Kind::Tables(&NODE),
            "[{ host = \"localhost\", data = \"/opt/couchdb/data\" }]",
            "A node of the cluster.",
        ),
        key("store", Kind::Table(&STORE), "{ region = \"eu-central-1\" }", "How stores are reached."),
    ],
};

/// `[defaults]`.
pub(crate) static DEFAULTS: Table = Table {
    doc: "Defaults for all nodes of a cluster.",
    keys: &[
        key("service", Kind::Plugin, "\"systemd:unit=couchdb\"", "The plugin that starts and stops CouchDB."),
        key(
            "via",
            Kind::Many(&Kind::Plugin),
            "[\"ssh:user=backup\", { plugin = \"sudo\" }]",
            "The access chain to the node, outermost hop first.",
        ),
        key("ca", Kind::File, "\"ca.pem\"", "PEM file with certificates to trust for https."),
        key("user", TEXT, "\"admin\"", "Name of the server admin."),
        key("password_file", Kind::File, "\"password\"", "File with the admin's password in its first line."),
    ],
};

/// `[[node]]`.
pub(crate) static NODE: Table = Table {
    doc: "A node of a cluster.",
    keys: &[
        key("name", TEXT, "\"couchdb@10.0.0.1\"", "Its Erlang name."),
        key(
            "host",
            TEXT,
            "\"db1.example.com\"",
            "Its machine: a name, an address, an alias of ssh; localhost for this machine.",
        ),
        key("data", Kind::Path, "\"/opt/couchdb/data\"", "Its data directory: `[couchdb] database_dir`."),
        key(
            "url",
            Kind::Text("http://HOST[:PORT] or https://HOST[:PORT]", url),
            "\"https://10.0.0.1:6984\"",
            "The address of its CouchDB, if it is not port 5984 of `host`.",
        ),
        key("ca", Kind::File, "\"ca.pem\"", "PEM file with certificates to trust for https."),
        key("user", TEXT, "\"admin\"", "Name of the server admin."),
        key("password_file", Kind::File, "\"password\"", "File with the admin's password in its first line."),
        key(
            "config",
            Kind::OneOrMany(&Kind::Path),
            "[\"/etc/couchdb\"]",
            "Directories of its configuration files.",
        ),
        key(
            "service",
            Kind::Plugin,
            "{ plugin = \"runit\", service = \"/srv/sv/couchdb\", timeout = 300 }",
            "The plugin that starts and stops CouchDB.",
        ),
        key(
            "via",
            Kind::Many(&Kind::Plugin),
            "[\"ssh\"]",
            "The access chain to the node, outermost hop first.",
        ),
    ],
};

/// `[store]`.
pub(crate) static STORE: Table = Table {
    doc: "How a store is reached. It holds no secrets.",
    keys: &[
        key("endpoint", TEXT, "\"https://minio.example.com:9000\"", "Address of the service."),
        key("region", TEXT, "\"eu-central-1\"", "Region, for S3."),
        key(
            "path_style",
            Kind::Flag,
            "true",
            "Put the bucket into the path, not into the host name, for S3.",
        ),
        key("ca", Kind::File, "\"ca.pem\"", "PEM file with certificate authorities to trust."),
        key("profile", TEXT, "\"backup\"", "Profile in the AWS configuration files."),
        key("account", TEXT, "\"companybackups\"", "Storage account, for Azure."),
        key(
            "limit_rate",
            Kind::Text("bytes a second such as 500K, 20M or 1G", rate),
            "\"20M\"",
            "Send and receive at most so many bytes a second.",
        ),
        key("limit_requests", Kind::Count, "50", "Make at most so many requests a second."),
    ],
};

/// One repository in the configuration file.
pub(crate) static REPOSITORY: Table = Table {
    doc: "A repository: where it is, its keys, and how long backups are kept.",
    keys: &[
        required(
            "location",
            Kind::Text("a directory, s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY", location),
            "\"s3://backups/couchdb\"",
            "A directory, or a prefix in a store.",
        ),
        key(
            "recipients",
            Kind::Many(&TEXT),
            "[\"age1s2nh04qfv7kd873jmwlju2a6ttq80nsahjlgn2v4nypk93d7uu5qvze2z6\"]",
            "Public keys for which `repo init` encrypts the repository.",
        ),
        key(
            "recipients_file",
            Kind::Many(&Kind::File),
            "[\"recipients.txt\"]",
            "Files with public keys, one per line.",
        ),
        key("passphrase_file", Kind::File, "\"passphrase\"", "File with the passphrase in its first line."),
        key(
            "identity",
            Kind::Many(&Kind::File),
            "[\"offline.txt\"]",
            "Files with private keys. Only a machine that verifies or restores needs one.",
        ),
        key("host_key", Kind::Path, "\"host.key\"", "File with the key of this machine."),
        key(
            "signers",
            Kind::Many(&TEXT),
            "[\"5d0c…\"]",
            "Accept only backups that machines with these public keys signed.",
        ),
        key(
            "keep",
            Kind::Table(&KEEP),
            "{ daily = 14 }",
            "Which backups are kept. Without it, none are deleted.",
        ),
        key(
            "prune",
            Kind::Flag,
            "false",
            "Free the space of what no backup needs, in `run`. On unless it is false.",
        ),
        key(
            "grace",
            DURATION,
            "\"24h\"",
            "Time between marking and deleting. It should be longer than the longest backup takes.",
        ),
        key(
            "verify",
            Kind::Text("a share such as 5%", percentage),
            "\"5%\"",
            "The share of the files that `run` verifies.",
        ),
        key("object_lock", DURATION, "\"30d\"", "How long the store locks each object."),
        key("store", Kind::Table(&STORE), "{ region = \"eu-central-1\" }", "How the store is reached."),
    ],
};

/// `keep`.
pub(crate) static KEEP: Table = Table {
    doc: "Which backups are kept: those that at least one rule keeps.",
    keys: &[
        key("last", Kind::Count, "3", "The last N backups."),
        key("hourly", Kind::Count, "24", "The last backup of each of the last N hours that have one."),
        key("daily", Kind::Count, "14", "The last backup of each of the last N days that have one."),
        key("weekly", Kind::Count, "8", "The last backup of each of the last N weeks that have one."),
        key("monthly", Kind::Count, "12", "The last backup of each of the last N months that have one."),
        key("yearly", Kind::Count, "3", "The last backup of each of the last N years that have one."),
        key(
            "within",
            DURATION,
            "\"7d\"",
            "All backups that were begun at most so long before the newest one.",
        ),
    ],
};

/// `[health]`.
pub(crate) static HEALTH: Table = Table {
    doc: "When `couchcopy health` reports a warning or an error.",
    keys: &[
        key("max_age", DURATION, "\"26h\"", "The greatest age of the newest complete backup."),
        key("max_unverified", DURATION, "\"8d\"", "The greatest age of the last verification."),
        key(
            "metrics_file",
            Kind::Path,
            "\"/var/lib/prometheus/node-exporter/couchcopy.prom\"",
            "The file for node_exporter's textfile collector.",
        ),
    ],
};

/// `[hooks]`.
pub(crate) static HOOKS: Table = Table {
    doc: "Programs to run before and after a backup, each as a list of words. No shell reads them.",
    keys: &[
        key("on_start", Kind::Command, "[\"/usr/local/bin/announce\", \"start\"]", "Before a backup begins."),
        key(
            "on_success",
            Kind::Command,
            "[\"/usr/local/bin/announce\", \"done\"]",
            "After a backup or run has succeeded.",
        ),
        key(
            "on_failure",
            Kind::Command,
            "[\"/usr/local/bin/announce\", \"failed\"]",
            "After a backup or run has failed, or something was left out.",
        ),
        key("timeout", DURATION, "\"60s\"", "How long a hook may take."),
    ],
};
