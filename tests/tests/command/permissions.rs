//! Who may do what with restored files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use couchcopy_tests::lab::skipped;
use couchcopy_tests::{Result, fixtures};
use rustix::process::getuid;

use super::run::{Targets, restore};

/// In OpenShift CouchDB runs as any user, of group 0, in a folder of root that the group may write to.
#[test]
fn the_group_may_do_with_files_what_it_may_do_with_the_folder() -> Result<()> {
    let archive = fixtures::path("couchcopy-0.2.4.tar.gz");
    for (mode, folders, files) in
        [(0o2770, 0o2770, 0o660), (0o775, 0o770, 0o660), (0o755, 0o750, 0o640), (0o700, 0o750, 0o640)]
    {
        let targets = Targets::new(1)?;
        let data = &targets.nodes[0].data;
        fs::create_dir_all(data)?;
        fs::set_permissions(data, fs::Permissions::from_mode(mode))?;
        restore(0, &archive, &targets.nodes, &[])?;
        let owner = fs::metadata(data)?;
        for path in fixtures::files_below(data)? {
            for path in data.join(&path).ancestors().take_while(|path| *path != data) {
                let found = fs::metadata(path)?;
                let wanted = if found.is_dir() { folders } else { files };
                assert_eq!(found.mode() & 0o7777, wanted, "{mode:o} {}", path.display());
                assert_eq!((found.uid(), found.gid()), (owner.uid(), owner.gid()), "{}", path.display());
            }
        }
        if mode == 0o2770 {
            somebody_of_the_group_writes(&targets)?;
        }
    }
    Ok(())
}

fn somebody_of_the_group_writes(targets: &Targets) -> Result<()> {
    if !getuid().is_root() {
        skipped("it takes root to be another user");
        return Ok(());
    }
    for above in targets.nodes[0].data.ancestors().skip(1).take(2) {
        fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
    }
    let script = "cd \"$1\" || exit 1
        find . -type f ! -exec sh -c ': >>\"$1\"' _ {} \\; -print
        find . -type d ! -exec sh -c ': >\"$1/new\" && rm \"$1/new\"' _ {} \\; -print";
    let told = Command::new("setpriv")
        .args(["--reuid=48291", "--regid=0", "--clear-groups", "sh", "-c", script, "sh"])
        .arg(&targets.nodes[0].data)
        .output()?;
    assert!(told.status.success() && told.stdout.is_empty() && told.stderr.is_empty(), "{told:?}");
    Ok(())
}
