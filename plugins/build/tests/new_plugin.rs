//! What an author begins with: it passes its own tests, and builds into a plugin.
//!
//! Both use the versions of this workspace's Cargo.lock, so that nothing is fetched that is not here already.

use outcome::Advice;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugin_build::template::create;
use plugin_build::{BuildError, CompilerOutput, Kind, Options, build, interfaces, kind, recorded};

const NAME: &str = "new-plugin";

/// A new plugin, always in the same place for the same test, whatever its kind: what does not change is compiled once, and
/// the place is a part of that.
fn new_plugin(test: &str, kind: Kind) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&parent).expect("a folder");
    if parent.join(NAME).exists() {
        fs::remove_dir_all(parent.join(NAME)).expect("no folder");
    }
    let folder = create(&parent, NAME, kind).expect("a new plugin");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("the workspace's Cargo.lock");
    folder
}

#[test]
fn new_plugins_pass_their_tests() {
    for kind in Kind::ALL {
        let folder = new_plugin("new-tested", kind);
        let output = Command::new(env!("CARGO"))
            .arg("test")
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", folder.with_file_name("target"))
            .env("RUSTFLAGS", "-Dwarnings")
            .output()
            .expect("cargo");
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        assert!(said.contains("test tests::"), "no tests:\n{said}");
    }
}

#[test]
fn new_plugins_build() {
    for wanted in Kind::ALL {
        let folder = new_plugin("new-built", wanted);
        // Not in the crate's folder, so that it stays.
        let target = folder.with_file_name("target");
        fs::create_dir_all(folder.join(".cargo")).expect("a folder");
        fs::write(folder.join(".cargo/config.toml"), format!("[build]\ntarget-dir = {target:?}\n"))
            .expect("a file");
        let built = match build(&folder, Options { locked: false, compiler_output: CompilerOutput::Kept }) {
            Ok(built) => built,
            Err(error @ (BuildError::NoRoute { .. } | BuildError::NoLinker)) => {
                eprintln!("SKIPPED: {error}. {}", error.remedy().unwrap_or_default());
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(built.name(), NAME);
        assert_eq!(kind(&built.component).expect("a plugin"), wanted);
        assert_eq!(recorded(&built.component).expect("a component"), Some(built.record));
        assert!(built.component.len() < 100_000, "{} bytes", built.component.len());
        let asks_host = interfaces(&built.component)
            .expect("a component")
            .imports
            .iter()
            .any(|import| import.contains("/host@"));
        assert_eq!(asks_host, wanted == Kind::Service);
        // Where it was built is nobody's business, and would make it differ from machine to machine.
        let text = String::from_utf8_lossy(&built.component);
        let home = std::env::var("HOME").unwrap_or_else(|_| "/home/".into());
        for place in [folder.to_str().expect("a plain path"), home.as_str(), "/usr/lib/rustlib"] {
            assert!(place.len() < 4 || !text.contains(place), "{place} is in the component");
        }
    }
}

#[test]
fn what_is_no_plugin_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { locked: false, compiler_output: CompilerOutput::Kept };
    assert!(matches!(build(folder.path(), options), Err(BuildError::NoCrate { .. })));
    assert!(matches!(build(&folder.path().join("none"), options), Err(BuildError::NoCrate { .. })));
}
