//! The browser that looks, and the programs around it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use couchcopy_tests::Result;
use couchcopy_tests::lab::{binary, skipped};

/// Names of browsers that the scripts understand.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// What the scripts are made of, in the versions that they were tried with: what drives a browser, and what checks that a
/// page is accessible.
const MODULES: [(&str, &str); 2] = [("playwright-core", "1.65.1"), ("axe-core", "4.14.1")];
/// The first node that has all that the scripts use: they import the page's own modules.
const NODE: (u32, u32) = (20, 19);

/// A browser, and where what drives it is installed.
pub(crate) struct Browser {
    program: PathBuf,
    folder: PathBuf,
}

impl Browser {
    /// Finds what is needed, and installs the modules in the target folder. Where something is missing, says so on standard
    /// error.
    pub(crate) fn find() -> Result<Option<Self>> {
        let missing = |what: &str| {
            skipped(&format!("the page was not looked at with a browser: {what}"));
            Ok(None)
        };
        let Some(node) = version("node") else { return missing("no node") };
        let mut numbers = node.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
        if (numbers.next(), numbers.next()) < (Some(NODE.0), Some(NODE.1)) {
            return missing(&format!("node {node} is older than {}.{}", NODE.0, NODE.1));
        }
        let Some(program) = BROWSERS.into_iter().find_map(on_path) else {
            return missing("no chromium");
        };
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
        let browser = Self { program, folder: target.join("page-test") };
        match browser.install()? {
            Ok(()) => Ok(Some(browser)),
            Err(why) => missing(&why),
        }
    }

    /// Installs the modules, unless they are there. The inner error says why that is not possible here.
    fn install(&self) -> Result<Result<(), String>> {
        let has = |(name, version): &(&str, &str)| {
            let package = self.folder.join("node_modules").join(name).join("package.json");
            fs::read_to_string(package)
                .is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
        };
        if MODULES.iter().all(has) {
            return Ok(Ok(()));
        }
        if version("npm").is_none() {
            return Ok(Err("no npm".into()));
        }
        fs::create_dir_all(&self.folder)?;
        let installed = Command::new("npm")
            .args(["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--prefix"])
            .arg(&self.folder)
            .args(MODULES.map(|(name, version)| format!("{name}@{version}")))
            .stdin(Stdio::null())
            .output()?;
        if installed.status.success() {
            return Ok(Ok(()));
        }
        Ok(Err(format!("npm install: {}", String::from_utf8_lossy(&installed.stderr))))
    }

    /// Runs all scripts on the page; fails with what they said. Pictures of what they saw are in the target folder.
    pub(crate) fn look(&self, page: &str) -> Result<()> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let pictures = self.folder.join("pictures");
        fs::create_dir_all(&pictures)?;
        let mut tests = Vec::new();
        for entry in fs::read_dir(&scripts)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(".test.mjs") {
                tests.push(path);
            }
        }
        tests.sort();
        let looked = Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .args(&tests)
            .env("COUCHCOPY_PAGE", page)
            .env("COUCHCOPY_PAGE_MODULES", &self.folder)
            .env("COUCHCOPY_PAGE_BROWSER", &self.program)
            .env("COUCHCOPY_PAGE_PICTURES", &pictures)
            // Commands that are copied are run.
            .env("COUCHCOPY_PAGE_COMMAND", binary()?)
            .stdin(Stdio::null())
            .output()?;
        let told = String::from_utf8_lossy(&looked.stdout);
        if !looked.status.success() {
            return Err(format!("{told}{}", String::from_utf8_lossy(&looked.stderr)).into());
        }
        // A run without tests succeeds as well.
        if told.contains("ℹ pass 0\n") {
            return Err(format!("nothing was tried:\n{told}").into());
        }
        Ok(())
    }
}

/// Finds a program.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// What a program says of its version; `None` where there is no such program.
fn version(program: &str) -> Option<String> {
    let told = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    told.status.success().then(|| String::from_utf8_lossy(&told.stdout).trim().to_owned())
}
