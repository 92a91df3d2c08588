//! A small cluster with two archives: whichever content it has, the other one can be restored.

use std::path::PathBuf;

use couchcopy_tests::Result;
use couchcopy_tests::content::agreed_maps;
use couchcopy_tests::lab::{Ended, Size, join, read_over_http};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

/// The cluster.
pub(super) struct Arena {
    pub(super) site: Site,
    contents: [Content; 2],
    /// Which content it has now.
    current: usize,
}

struct Content {
    archive: PathBuf,
    expected: Value,
}

/// What to do about a restore that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Resume,
    RollBack,
}

impl Remedy {
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Resume => "--resume",
            Self::RollBack => "--roll-back",
        }
    }

    /// Now this one, now the other one.
    pub(super) fn of(number: usize) -> Self {
        if number.is_multiple_of(2) { Self::Resume } else { Self::RollBack }
    }
}

impl Arena {
    /// Two nodes; where something is missing, says so.
    pub(super) fn new(reach: Reach) -> Result<Option<Self>> {
        Self::of(2, reach)
    }

    /// The same of so many nodes.
    pub(super) fn of(nodes: u8, reach: Reach) -> Result<Option<Self>> {
        let size = Size { nodes, q: 2, n: nodes.into() };
        let Some(site) = Site::start(Plan { size, reach })? else { return Ok(None) };
        let http = site.http();
        let doc = |content: &str| json!({"marker": content});
        let save = |content: &str| -> Result<Content> {
            site.wait_until_settled(|_| Ok(()))?;
            let archive = site.path(&format!("{content}.tar.gz"));
            site.back_up(&archive)?;
            Ok(Content { archive, expected: read_over_http(site.http())? })
        };
        for db in ["both", "only-first"] {
            http.put(&format!("/{db}"), &Value::Null)?;
            http.put(&format!("/{db}/doc"), &doc("first"))?;
        }
        let first = save("first")?;
        http.delete("/only-first")?;
        http.put("/only-second", &Value::Null)?;
        let revision = http.get("/both/doc")?["_rev"].as_str().unwrap_or_default().to_owned();
        http.put(&format!("/both/doc?rev={revision}"), &doc("second"))?;
        let second = save("second")?;
        assert_ne!(first.expected, second.expected);
        Ok(Some(Self { site, contents: [first, second], current: 1 }))
    }

    /// Restores the content that the cluster does not have; `couchcopy` gets more arguments and variables.
    pub(super) fn restore(&self, more: &[&str], variables: &[(&str, &str)]) -> Result<Ended> {
        let archive = self.contents[1 - self.current].archive.clone();
        let archive = archive.to_str().ok_or("a path that is no text")?;
        self.couchcopy(&[&["restore", "-y", "-v", archive], more].concat(), variables)
    }

    /// Runs couchcopy with these variables.
    pub(super) fn couchcopy(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Ended> {
        let mut command = self.site.command(arguments)?;
        command.envs(variables.iter().copied());
        Ok(couchcopy_tests::lab::run(&mut command)?.unwrapped())
    }

    /// Number of the last step before the first one of this name, as a restore that succeeds tells them. The cluster has the
    /// other content then.
    pub(super) fn step_before(&mut self, name: &str) -> Result<String> {
        let ended = self.restore(&[], &[])?;
        let steps = ended.stderr.lines().filter_map(|line| line.strip_prefix("step ")?.split_once(": "));
        let first = steps.into_iter().find(|(_, what)| what.starts_with(name));
        let number: usize = first.ok_or_else(|| format!("no step {name}: {ended:#?}"))?.0.parse()?;
        ended.success()?;
        self.check_new()?;
        Ok((number - 1).to_string())
    }

    /// Finishes or undoes what was cut, after a look at it.
    pub(super) fn mend(&mut self, remedy: Remedy) -> Result<()> {
        println!("  {:?}, so {remedy:?}", self.site.situations()?);
        let ended = self.couchcopy(&["restore", "-y", "-v", remedy.flag()], &[])?;
        self.mended(remedy, &ended)
    }

    /// Checks how that ended.
    pub(super) fn mended(&mut self, remedy: Remedy, ended: &Ended) -> Result<()> {
        match (remedy, ended.code) {
            (Remedy::Resume, Some(0)) => self.check_new(),
            (Remedy::RollBack, Some(0)) => self.check_old(),
            // There was nothing to do any more, or no way back: then it goes forward.
            (_, Some(5)) if ended.stderr.contains("there is no unfinished restore") => self.check_either(),
            (Remedy::RollBack, Some(5)) if ended.stderr.contains("old data is being removed") => {
                self.mend(Remedy::Resume)
            }
            (Remedy::RollBack, Some(5)) if ended.stderr.contains("has no old data any more") => {
                self.mend(Remedy::Resume)
            }
            _ => Err(format!("{remedy:?}: {ended:#?}").into()),
        }
    }

    /// The cluster runs, with its old data, and nothing is left of a restore.
    pub(super) fn check_old(&self) -> Result<()> {
        self.check(self.current)
    }

    /// The cluster runs, with the data of the restore, and nothing is left of it. That is its content from now on.
    pub(super) fn check_new(&mut self) -> Result<()> {
        self.check(1 - self.current)?;
        self.current = 1 - self.current;
        Ok(())
    }

    /// One or the other, but all of it.
    pub(super) fn check_either(&mut self) -> Result<()> {
        join(&self.site.nodes)?;
        let has = |content: &Content| {
            read_over_http(self.site.http()).map(|told| told["both"] == content.expected["both"])
        };
        if has(&self.contents[self.current])? { self.check_old() } else { self.check_new() }
    }

    fn check(&self, content: usize) -> Result<()> {
        self.site.check_content(&self.contents[content].expected)?;
        // A trial folder that could not be removed goes with the next look.
        self.site.couchcopy(&["check"])?;
        if self.site.situations()?.iter().any(|situation| situation != "untouched") {
            self.site.couchcopy(&["clean"])?.success()?;
        }
        self.site.check_nothing_left()?;
        let folders: Vec<_> = self.site.nodes.iter().map(|node| node.data.as_path()).collect();
        agreed_maps(&folders)?;
        Ok(())
    }
}
