//! What was granted, and what was not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::hostile::{Command, Guest, Home, Pattern, Step, Watched};

const LIMIT: Duration = Duration::from_secs(300);

/// A user, and a plugin whose `start` makes a file.
struct Site {
    home: Home,
    plugin: PathBuf,
    witness: PathBuf,
}

impl Site {
    fn new() -> Result<Self> {
        let home = Home::new()?;
        let witness = home.path("witness");
        let site = Self { plugin: home.path("mine.wasm"), witness, home };
        std::fs::write(&site.plugin, site.component("made to test with")?)?;
        Ok(site)
    }

    fn component(&self, summary: &str) -> Result<Vec<u8>> {
        let touch = ["touch", text(&self.witness)?];
        let mut guest = Guest::service("mine");
        guest.description.summary = summary.into();
        guest.description.commands = vec![Pattern::new(&touch)].into();
        guest.start.steps = vec![Step::Run(Command::new(&touch))];
        // It tries at once, too, when it is only looked at.
        guest.describe = vec![Step::RunAnyway(Command::new(&touch))];
        guest.build()
    }

    fn run(&self, arguments: &[&str]) -> Result<Watched> {
        self.home.couchcopy(&[&["plugin"], arguments, &["--json"]].concat(), LIMIT)
    }

    /// `plugin grants` with these arguments; runs nothing of the plugin.
    fn grants(&self, arguments: &[&str]) -> Result<()> {
        let watched = self.run(&[&["grants"], arguments].concat())?;
        if watched.ended.code != Some(0) || self.witness.exists() {
            return Err(format!("{arguments:?}: {watched:?}").into());
        }
        Ok(())
    }

    fn start(&self, plugin: &Path, more: &[&str]) -> Result<Watched> {
        self.run(&[&["run", text(plugin)?, "start"], more].concat())
    }

    /// Fails unless the plugin ran what it may.
    fn runs(&self, watched: &Watched) -> Result<()> {
        if watched.ended.code != Some(0) || !self.witness.exists() {
            return Err(format!("it did not run: {watched:?}").into());
        }
        Ok(std::fs::remove_file(&self.witness)?)
    }

    /// Fails unless the plugin was refused, with this in the message.
    fn refused(&self, watched: &Watched, says: &str) -> Result<()> {
        let (message, remedy) = watched.error()?;
        let told = message.contains(says) && message.contains("mine") && remedy.contains("touch ");
        if watched.ended.code != Some(5) || !told || self.witness.exists() {
            return Err(format!("it was not refused as it should: {watched:?}").into());
        }
        Ok(())
    }
}

fn text(path: &Path) -> Result<&str> {
    Ok(path.to_str().ok_or("a path that is no text")?)
}

#[test]
fn nothing_runs_before_it_is_granted() -> Result<()> {
    let site = Site::new()?;
    for more in
        [&[][..], &["--grant", "other"], &["--grant", ""], &["--grant", "*"], &["--grant", "./other.wasm"]]
    {
        site.refused(&site.start(&site.plugin, more)?, "has not been granted")?;
    }
    site.runs(&site.start(&site.plugin, &["--grant", "mine"])?)?;
    site.refused(&site.start(&site.plugin, &[])?, "has not been granted")?;
    Ok(())
}

#[test]
fn a_file_that_changes_after_it_was_granted_is_refused() -> Result<()> {
    let site = Site::new()?;
    let granted = std::fs::read(&site.plugin)?;
    site.grants(&["--add", text(&site.plugin)?])?;
    site.runs(&site.start(&site.plugin, &[])?)?;
    // The same name, the same patterns; one more letter in what it says of itself.
    std::fs::write(&site.plugin, site.component("made to test with!")?)?;
    site.refused(&site.start(&site.plugin, &[])?, "changed")?;
    // As it was granted, but for bytes behind it that no tool would show.
    std::fs::write(&site.plugin, [&granted[..], &[0, 2, 1, b'x']].concat())?;
    site.refused(&site.start(&site.plugin, &[])?, "changed")?;
    std::fs::write(&site.plugin, granted)?;
    site.runs(&site.start(&site.plugin, &[])?)?;
    site.grants(&["--revoke", "mine"])?;
    site.refused(&site.start(&site.plugin, &[])?, "has not been granted")?;
    Ok(())
}

#[test]
fn a_link_is_granted_for_what_it_leads_to() -> Result<()> {
    let site = Site::new()?;
    let link = site.home.path("link.wasm");
    std::os::unix::fs::symlink(&site.plugin, &link)?;
    site.grants(&["--add", text(&link)?])?;
    site.runs(&site.start(&link, &[])?)?;
    let other = site.home.write("other.wasm", &site.component("another one")?)?;
    std::fs::remove_file(&link)?;
    std::os::unix::fs::symlink(&other, &link)?;
    site.refused(&site.start(&link, &[])?, "changed")?;
    Ok(())
}

#[test]
fn an_installed_plugin_is_granted_like_any_other() -> Result<()> {
    let site = Site::new()?;
    let installed = site.home.plugins()?.join("mine.wasm");
    std::fs::rename(&site.plugin, &installed)?;
    let name = Path::new("mine");
    site.refused(&site.start(name, &[])?, "has not been granted")?;
    site.grants(&["--add", "mine"])?;
    site.runs(&site.start(name, &[])?)?;
    std::fs::write(&installed, site.component("replaced")?)?;
    site.refused(&site.start(name, &[])?, "changed")?;
    Ok(())
}

#[test]
fn a_grant_does_not_hold_for_another_plugin_of_the_same_name() -> Result<()> {
    let site = Site::new()?;
    site.grants(&["--add", text(&site.plugin)?])?;
    let other = site.home.write("other.wasm", &site.component("calls itself mine, too")?)?;
    site.refused(&site.start(&other, &[])?, "has not been granted")?;
    Ok(())
}

#[test]
fn a_way_to_a_node_has_to_be_granted_too() -> Result<()> {
    let site = Site::new()?;
    let mut guest = Guest::access("mine");
    guest.description.commands = vec![Pattern::new(&["env", "{command...}"])].into();
    let way = site.home.write("way.wasm", &guest.build()?)?;
    let witness = text(&site.witness)?;
    let exec = |more: &[&str]| {
        let arguments =
            [&["plugin", "run", text(&way)?, "exec"], more, &["--json", "--", "touch", witness]].concat();
        site.home.couchcopy(&arguments, LIMIT)
    };
    let watched = exec(&[])?;
    assert_eq!(watched.ended.code, Some(5), "{watched:?}");
    assert!(!site.witness.exists());
    let watched = exec(&["--grant", "mine"])?;
    assert_eq!(watched.ended.code, Some(0), "{watched:?}");
    assert!(site.witness.exists());
    Ok(())
}

#[test]
fn grants_in_a_file_that_others_may_write_do_not_count() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new()?;
    site.grants(&["--add", text(&site.plugin)?])?;
    let file = site.home.path("config/couchcopy/grants.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666))?;
    let watched = site.start(&site.plugin, &[])?;
    assert_eq!(watched.ended.code, Some(5), "{watched:?}");
    assert!(!site.witness.exists());
    Ok(())
}
