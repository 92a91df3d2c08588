//! What a package holds.

use std::path::{Path, PathBuf};
use std::process::Command;

use outcome::{Code, Failure, Result};

use crate::build::output;
use crate::tarball::{File, gzip, pack};

/// What a package holds.
pub(crate) struct Content {
    binary: Vec<u8>,
    /// Manual pages: name, text.
    manuals: Vec<(String, Vec<u8>)>,
    /// Completions: the path below `usr/share`, text.
    completions: Vec<(&'static str, String)>,
    /// Everything in `packaging`: the path below it, content.
    packaging: Vec<(String, Vec<u8>)>,
    license: Vec<u8>,
    changelog: Vec<u8>,
    /// Pages of the book: name, text.
    pages: Vec<(String, Vec<u8>)>,
}

const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/couchcopy"),
    ("zsh", "zsh/vendor-completions/_couchcopy"),
    ("fish", "fish/vendor_completions.d/couchcopy.fish"),
];

/// What the command prints about itself, the same for every target.
pub(crate) struct Documents {
    /// Manual pages: name, text.
    manuals: Vec<(String, Vec<u8>)>,
    /// Completions: the path below `usr/share`, text.
    completions: Vec<(&'static str, String)>,
}

impl Documents {
    /// From a binary that runs on this machine.
    pub(crate) fn of(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|e| Failure::io("create", "a temporary directory", e))?;
        output(Command::new(binary).arg("man").arg(folder.path()))?;
        // It calls the program by the path that it has here.
        let own = std::fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
        let mut completions = Vec::new();
        for (shell, path) in COMPLETIONS {
            let text = output(Command::new(binary).args(["completions", shell]))?;
            completions.push((path, text.replace(&own.display().to_string(), "/usr/bin/couchcopy")));
        }
        Ok(Self { manuals: files(folder.path())?, completions })
    }
}

impl Content {
    /// Gathers everything.
    pub(crate) fn gather(root: &Path, binary: &Path, documents: &Documents) -> Result<Self> {
        let packaging = root.join("packaging");
        let mut found = Vec::new();
        for folder in ["etc", "systemd", "prometheus", "kubernetes"] {
            let all = files(&packaging.join(folder))?;
            found.extend(all.into_iter().map(|(name, content)| (format!("{folder}/{name}"), content)));
        }
        Ok(Self {
            binary: read(binary)?,
            manuals: documents.manuals.clone(),
            completions: documents.completions.clone(),
            packaging: found,
            license: read(&root.join("LICENSE"))?,
            changelog: read(&root.join("CHANGELOG.md"))?,
            pages: pages(root)?,
        })
    }

    /// The files of an installed system.
    pub(crate) fn installed(&self) -> Result<Vec<File>> {
        let share = "usr/share";
        let mut files = vec![
            File::program("usr/bin/couchcopy", self.binary.clone()),
            File::new(format!("{share}/doc/couchcopy/copyright"), self.license.clone()),
            File::new(format!("{share}/doc/couchcopy/changelog.gz"), gzip(&self.changelog)?),
        ];
        for (name, text) in &self.manuals {
            files.push(File::new(format!("{share}/man/man1/{name}.gz"), gzip(text)?));
        }
        for (path, text) in &self.completions {
            files.push(File::new(format!("{share}/{path}"), text.clone()));
        }
        for (path, content) in &self.packaging {
            let to = match path.split_once('/') {
                Some(("etc", name)) => format!("etc/couchcopy/{name}"),
                Some(("systemd", name)) if name.ends_with(".sysusers") => {
                    "usr/lib/sysusers.d/couchcopy.conf".to_owned()
                }
                Some(("systemd", name)) => format!("usr/lib/systemd/system/{name}"),
                _ => format!("{share}/doc/couchcopy/examples/{path}"),
            };
            let mode = if path.starts_with("etc/") { 0o640 } else { 0o644 };
            files.push(File { mode, ..File::new(to, content.clone()) });
        }
        for (name, text) in &self.pages {
            files.push(File::new(format!("{share}/doc/couchcopy/{name}"), text.clone()));
        }
        Ok(files)
    }

    /// A `.tar.gz` with one directory, to be unpacked anywhere.
    pub(crate) fn portable(&self, folder: &str, epoch: i64) -> Result<Vec<u8>> {
        let mut files = vec![
            File::program(format!("{folder}/couchcopy"), self.binary.clone()),
            File::new(format!("{folder}/LICENSE"), self.license.clone()),
            File::new(format!("{folder}/CHANGELOG.md"), self.changelog.clone()),
        ];
        for (name, text) in &self.manuals {
            files.push(File::new(format!("{folder}/man/{name}"), text.clone()));
        }
        for (path, text) in &self.completions {
            files.push(File::new(format!("{folder}/completions/{path}"), text.clone()));
        }
        for (path, content) in &self.packaging {
            files.push(File::new(format!("{folder}/packaging/{path}"), content.clone()));
        }
        for (name, text) in &self.pages {
            files.push(File::new(format!("{folder}/docs/{name}"), text.clone()));
        }
        pack(&files, &[], epoch)
    }
}

/// Where Debian and others have the certificates of authorities, in one file.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Directories of the image: path, mode. Whoever the container runs as can write there.
const DIRECTORIES: [(&str, u32); 3] =
    [("tmp", 0o1777), ("var/cache/couchcopy", 0o1777), ("var/lib/couchcopy", 0o1777)];

/// What `docker build` makes an image of: the Dockerfile, and the image's files. They are the binary and the certificates of
/// authorities that this machine trusts; without certificates, no store can be reached.
pub(crate) fn image(root: &Path, binary: &Path, epoch: i64) -> Result<Vec<u8>> {
    let certificates = std::env::var_os("SSL_CERT_FILE").map_or_else(|| CERTIFICATES.into(), PathBuf::from);
    if !certificates.is_file() {
        return Err(Failure::refused(
            Code::new("CC-X93"),
            format!("there is no {} for the image", certificates.display()),
            "Run `apt-get install ca-certificates`, or set SSL_CERT_FILE to a file with certificates in PEM format.",
        ));
    }
    let files = [
        File::program("usr/bin/couchcopy", read(binary)?),
        File::new(&CERTIFICATES[1..], read(&certificates)?),
    ];
    let context = [
        File::new("Dockerfile", read(&root.join("packaging/Dockerfile"))?),
        File::new("root.tar.gz", pack(&files, &DIRECTORIES, epoch)?),
    ];
    pack(&context, &[], epoch)
}

/// The pages of the book.
fn pages(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let is_page = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "md");
    Ok(files(&root.join("docs"))?.into_iter().filter(|(name, _)| is_page(name)).collect())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Failure::io("read", path, e))
}

/// The files in a directory, by name.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let failed = |e| Failure::io("list", folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str())) {
            files.push((name.to_owned(), read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}
