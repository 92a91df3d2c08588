//! A site with a node, a repository and a configuration file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::{Result, fixtures};
use tempfile::TempDir;

/// A key made for these tests, with its public half.
pub(crate) const IDENTITY: &str =
    "AGE-SECRET-KEY-1UP03SMUJJZPCTN4FXWNMF034E490R4YRC4PTP2U0R7WPZQGUK2ZQ6J9487";
pub(crate) const RECIPIENT: &str = "age1s2nh04qfv7kd873jmwlju2a6ttq80nsahjlgn2v4nypk93d7uu5qvze2z6";

/// A site with a node, a repository and a configuration file.
pub(crate) struct Site {
    pub(crate) home: TempDir,
    pub(crate) couchcopy: Couchcopy,
    pub(crate) data: fixtures::Cluster,
}

impl Site {
    /// With the configuration file in the user's place. `{data}` and `{home}` in it stand for paths.
    pub(crate) fn new(configuration: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let couchcopy = Couchcopy::at_home(home.path(), Vec::new());
        let site = Self { couchcopy, data: fixtures::single_node()?, home };
        std::fs::create_dir_all(site.path("config/couchcopy"))?;
        site.configure(configuration)?;
        Ok(site)
    }

    /// With one node and one repository, which is made.
    pub(crate) fn usual(more: &str) -> Result<Self> {
        let site = Self::new(&format!("{USUAL}{more}"))?;
        site.couchcopy.expect(0, &["repo", "init"])?;
        Ok(site)
    }

    /// Replaces the configuration file.
    pub(crate) fn configure(&self, configuration: &str) -> Result<()> {
        let data = self.data.nodes[0].data.display().to_string();
        let home = self.home.path().display().to_string();
        std::fs::write(
            self.configuration(),
            configuration.replace("{data}", &data).replace("{home}", &home),
        )?;
        Ok(())
    }

    /// The configuration file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path("config/couchcopy/couchcopy.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The database files of the node, that of the shard maps aside.
    pub(crate) fn shards(&self) -> Result<Vec<PathBuf>> {
        let data = &self.data.nodes[0].data;
        let files = fixtures::files_ending(&data.join("shards"), "couch")?;
        Ok(files.into_iter().map(|name| data.join("shards").join(name)).collect())
    }
}

/// One node and one repository.
pub(crate) const USUAL: &str = "[cluster.prod]\n[[cluster.prod.node]]\nhost = 'localhost'\ndata = '{data}'\n\n\
     [repository.main]\nlocation = '{home}/repository'\n";

/// The configuration file in a manifest for Kubernetes.
pub(crate) fn configuration_in(manifest: &str) -> String {
    let block = manifest.lines().skip_while(|line| line.trim() != "couchcopy.toml: |").skip(1);
    let lines = block.take_while(|line| *line != "---");
    lines.map(|line| line.strip_prefix("    ").unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// A program that appends what it reads to a file, and then does something else.
pub(crate) fn program(path: &Path, to: &Path, then: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut text = String::new();
    writeln!(text, "#!/bin/sh\necho \"$1\" >> {0}\ncat >> {0}\n{then}", to.display())?;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
