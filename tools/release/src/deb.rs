//! Debian packages.

use std::fmt::Write as _;

use outcome::Result;

use crate::ar;
use crate::content::Content;
use crate::tarball::{File, pack};
use crate::target::Target;

/// Directories that the package has although no file is in them: path, mode.
const DIRECTORIES: [(&str, u32); 2] = [("etc/couchcopy", 0o750), ("usr/lib/couchcopy/plugins", 0o755)];

/// Makes the user, and the directories that belong to it.
const POSTINST: &str = r#"#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers couchcopy.conf
    elif ! getent passwd couchcopy >/dev/null; then
        adduser --system --group --quiet --home /var/lib/couchcopy --no-create-home couchcopy
    fi
    # Keys of repositories; `couchcopy repo init` writes them.
    install -d -o couchcopy -g couchcopy -m 0700 /etc/couchcopy/repositories
    chgrp couchcopy /etc/couchcopy /etc/couchcopy/couchcopy.toml
    chmod 0750 /etc/couchcopy
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload || true
    fi
fi
"#;

/// Stops what would run without the program.
const PRERM: &str = r#"#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now couchcopy.timer couchcopy-health.timer couchcopy-continuous.service || true
fi
"#;

/// Removes what can be made again. Keys stay: without them, nobody may be able to read the backups.
const POSTRM: &str = r#"#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /var/cache/couchcopy /var/lib/couchcopy/runs /var/lib/couchcopy/verifications /var/lib/couchcopy/verified
    rmdir --ignore-fail-on-non-empty /etc/couchcopy/repositories /etc/couchcopy /var/lib/couchcopy 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload || true
fi
"#;

/// A Debian package.
pub(crate) fn package(content: &Content, target: &Target, version: &str, epoch: i64) -> Result<Vec<u8>> {
    let files = content.installed()?;
    let data = pack(&files, &DIRECTORIES, epoch)?;
    let bytes: u64 = files.iter().map(|file| (file.content.len() as u64).div_ceil(1024)).sum();
    let configuration: Vec<&str> =
        files.iter().map(|file| file.path.as_str()).filter(|path| path.starts_with("etc/")).collect();
    let mut conffiles = String::new();
    for path in configuration {
        let _ = writeln!(conffiles, "/{path}");
    }
    let control = pack(
        &[
            File::new("control", control(target, version, bytes)),
            File::new("conffiles", conffiles),
            File::program("postinst", POSTINST),
            File::program("prerm", PRERM),
            File::program("postrm", POSTRM),
        ],
        &[],
        epoch,
    )?;
    let members: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.gz", &control), ("data.tar.gz", &data)];
    Ok(ar::archive(&members, epoch))
}

fn control(target: &Target, version: &str, kibibytes: u64) -> String {
    let mut text = format!(
        "Package: couchcopy\nVersion: {version}\nArchitecture: {}\n\
         Maintainer: The couchcopy authors <couchcopy@localhost>\nInstalled-Size: {kibibytes}\nSection: database\n\
         Priority: optional\n",
        target.debian
    );
    if target.is_dynamic {
        text.push_str("Depends: libc6\n");
    }
    text.push_str("Recommends: ca-certificates, openssh-client\n");
    let _ = write!(
        text,
        "Description: backup and restore of CouchDB nodes and clusters\n \
         Saves nodes and clusters while they run, into archives or into repositories\n \
         that store once what backups share. Restores clusters, single nodes, databases\n \
         and documents, also under other names and to other numbers of nodes.\n"
    );
    text
}
