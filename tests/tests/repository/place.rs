//! Repositories, and the command with an environment of its own for each.

use std::path::PathBuf;
use std::sync::LazyLock;

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::FaultProxy;
use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::object_servers::{S3, SeaweedFs};
use serde_json::Value;
use tempfile::TempDir;

/// A key made for these tests, with its public half.
pub(crate) const IDENTITY: &str =
    "AGE-SECRET-KEY-1UP03SMUJJZPCTN4FXWNMF034E490R4YRC4PTP2U0R7WPZQGUK2ZQ6J9487";
pub(crate) const RECIPIENT: &str = "age1s2nh04qfv7kd873jmwlju2a6ttq80nsahjlgn2v4nypk93d7uu5qvze2z6";

/// Tests share one store, each with a bucket of its own.
pub(crate) static STORE: LazyLock<Option<SeaweedFs>> = LazyLock::new(SeaweedFs::start);

/// A repository.
pub(crate) struct Place {
    pub(crate) home: TempDir,
    /// What the command takes as REPO.
    pub(crate) repo: String,
    /// The command on this machine.
    pub(crate) couchcopy: Couchcopy,
    /// The store, and the bucket in it.
    pub(crate) bucket: Option<(S3, String)>,
}

impl Place {
    /// In a directory. Nothing is made.
    pub(crate) fn folder() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let repo = home.path().join("repository").display().to_string();
        let couchcopy = couchcopy(&home, Vec::new());
        Ok(Self { home, repo, couchcopy, bucket: None })
    }

    /// Below a key of a bucket; `None` if no store is installed. Nothing but the bucket is made.
    pub(crate) fn store(bucket: &str) -> Result<Option<Self>> {
        let Some(store) = &*STORE else { return Ok(None) };
        store.create_bucket(bucket)?;
        let home = tempfile::tempdir()?;
        let s3 = store.s3();
        let couchcopy = couchcopy(&home, s3.environment());
        Ok(Some(Self {
            home,
            repo: format!("s3://{bucket}/r"),
            couchcopy,
            bucket: Some((s3, bucket.to_owned())),
        }))
    }

    /// A directory, and a bucket if a store is installed.
    pub(crate) fn each(bucket: &str) -> Result<Vec<Self>> {
        Ok([Some(Self::folder()?), Self::store(bucket)?].into_iter().flatten().collect())
    }

    /// The same store through a proxy, with an empty cache.
    pub(crate) fn through(&self, proxy: &FaultProxy) -> Result<Couchcopy> {
        let cache = tempfile::tempdir_in(self.home.path())?.keep();
        let cache = cache.to_str().ok_or("not text")?;
        Ok(self.couchcopy.and(&[("AWS_ENDPOINT_URL", &proxy.endpoint()), ("XDG_CACHE_HOME", cache)]))
    }

    /// A path in a directory of its own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A file with the private key.
    pub(crate) fn identity(&self) -> Result<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("offline.txt");
        std::fs::write(&path, IDENTITY)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    }

    pub(crate) fn init(&self, more: &[&str]) -> Result<Value> {
        self.couchcopy.json(&[&["repo", "init", &self.repo], more].concat())
    }

    /// Makes a backup. Its id.
    pub(crate) fn backup(&self, node: &str) -> Result<String> {
        id_of(&self.couchcopy.json(&["backup", "--repo", &self.repo, node])?)
    }

    /// `REPO::…`
    pub(crate) fn of(&self, selector: &str) -> String {
        format!("{}::{selector}", self.repo)
    }

    /// The ids of all backups, the oldest first.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let list = self.couchcopy.json(&["repo", "list", &self.repo])?;
        let backups = list["backups"].as_array().ok_or("no list")?;
        backups.iter().map(|backup| Ok(backup["id"].as_str().ok_or("no id")?.to_owned())).collect()
    }

    /// Fails unless everything that backups need is there.
    pub(crate) fn check(&self) -> Result<Value> {
        self.couchcopy.json(&["repo", "check", &self.repo])
    }

    /// Fails unless all backups can be read completely.
    pub(crate) fn verify_all(&self) -> Result<()> {
        for id in self.ids()? {
            self.couchcopy.expect(0, &["verify", &self.of(&id)])?;
        }
        Ok(())
    }

    /// Fails unless prunes without a time of grace leave only what is needed.
    pub(crate) fn assert_prunes_clean(&self) -> Result<()> {
        for _ in 0..2 {
            self.couchcopy.expect(0, &["repo", "prune", "--grace", "0s", &self.repo])?;
        }
        let checked = self.check()?;
        assert_eq!(checked["unneeded"], 0, "{checked}");
        assert_eq!(self.objects("marks")?, Vec::<String>::new());
        Ok(())
    }

    /// The keys of all objects in a folder of the repository.
    pub(crate) fn objects(&self, folder: &str) -> Result<Vec<String>> {
        if let Some((s3, bucket)) = &self.bucket {
            let objects = s3.list(bucket, &format!("r/{folder}"))?;
            return Ok(objects.into_iter().map(|object| object.key).collect());
        }
        let (mut found, mut folders) = (Vec::new(), vec![self.path("repository").join(folder)]);
        while let Some(next) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&next) else { continue };
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { found.push(path.display().to_string()) }
            }
        }
        Ok(found)
    }
}

fn couchcopy(home: &TempDir, environment: Vec<(String, String)>) -> Couchcopy {
    Couchcopy::at_home(home.path(), environment)
}

/// The id of the backup that a command has made.
pub(crate) fn id_of(result: &Value) -> Result<String> {
    let id = result["in_repository"]["id"].as_str().ok_or_else(|| format!("no id in {result}"))?;
    Ok(id.to_owned())
}
