//! Lists the plugin SDK's sources, which `couchcopy plugin new` copies, so that nobody has to when one is added.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What goes along, by its path in couchcopy's source.
const PLACES: [&str; 4] = ["LICENSE", "plugins/patterns/src", "plugins/sdk/src", "wit"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let mut files = Vec::new();
    for place in PLACES {
        let place = root.join(place);
        println!("cargo::rerun-if-changed={}", place.display());
        find(&place, &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&root)?.to_str().ok_or("a path that is no UTF-8")?;
        let path = file.to_str().ok_or("a path that is no UTF-8")?;
        writeln!(list, "    ({name:?}, include_str!({path:?})),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("vendored.rs"), list)?;
    Ok(())
}

/// All files below; the SDK's own tests, which need what authors do not have, are left out.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            find(&entry?.path(), files)?;
        }
    } else if path.file_name().is_some_and(|name| name != "tests.rs") {
        files.push(path.to_owned());
    }
    Ok(())
}
