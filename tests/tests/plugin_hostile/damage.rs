//! Files that are no plugins, or no longer.

use std::path::Path;
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::hostile::{Guest, Home, Step, Watched, cuts, flips};

/// `describe` of a damaged plugin may loop, which ends after ten seconds.
const LIMIT: Duration = Duration::from_secs(300);

fn check(home: &Home, file: &Path) -> Result<Watched> {
    home.couchcopy(&["plugin", "check", file.to_str().ok_or("a path that is no text")?, "--json"], LIMIT)
}

/// Fails unless each of the files is a plugin or told to be none.
fn all_are_told(files: &[Vec<u8>]) -> Result<usize> {
    let home = Home::new()?;
    let mut good = 0;
    for (at, bytes) in files.iter().enumerate() {
        let file = home.write("plugin.wasm", bytes)?;
        let watched = check(&home, &file)?;
        match watched.ended.code {
            Some(0) => good += 1,
            Some(8) if watched.error()?.1.len() > 20 => {}
            _ => return Err(format!("number {at}: {watched:?}").into()),
        }
        assert!(watched.control_characters().is_empty(), "number {at}: {watched:?}");
        assert!(!watched.ended.stderr.contains("panicked"), "number {at}: {watched:?}");
    }
    Ok(good)
}

#[test]
fn a_file_that_is_cut_short_is_told_wherever_it_is_cut() -> Result<()> {
    let good = Guest::service("good").build()?;
    let left = all_are_told(&cuts(&good, 60))?;
    // What stands at its end are names for people.
    assert!(left < 10, "{left}");
    Ok(())
}

#[test]
fn flipped_bits_never_harm() -> Result<()> {
    let mut guest = Guest::service("good");
    // More code than the least there is, so that more than data is flipped.
    guest.status.steps = vec![Step::Log { bytes: 1, times: Some(2) }, Step::Sleep(1)];
    let flipped = flips(&guest.build()?, 200);
    let survivors = all_are_told(&flipped)?;
    assert!(survivors < 200, "{survivors}");
    Ok(())
}

#[test]
fn flipped_bits_never_harm_when_called() -> Result<()> {
    let mut guest = Guest::service("good");
    guest.status.steps = vec![Step::Log { bytes: 1, times: Some(2) }, Step::Sleep(1)];
    let home = Home::new()?;
    for (at, bytes) in flips(&guest.build()?, 60).iter().enumerate() {
        let file = home.write("plugin.wasm", bytes)?;
        let file = file.to_str().ok_or("a path that is no text")?;
        let arguments = ["plugin", "run", file, "status", "--grant", file, "--deadline", "2", "--json"];
        let watched = home.couchcopy(&arguments, LIMIT)?;
        assert!(matches!(watched.ended.code, Some(0 | 8)), "number {at}: {watched:?}");
    }
    Ok(())
}

#[test]
fn files_that_are_none_are_not_waited_for() -> Result<()> {
    let home = Home::new()?;
    std::os::unix::fs::symlink(home.path("gone"), home.path("dangling.wasm"))?;
    std::os::unix::fs::symlink("loop.wasm", home.path("loop.wasm"))?;
    std::fs::create_dir(home.path("folder.wasm"))?;
    let files = ["dangling.wasm", "loop.wasm", "folder.wasm", "missing.wasm"].map(|name| home.path(name));
    for file in
        files.iter().map(std::path::PathBuf::as_path).chain([Path::new("/dev/zero"), Path::new("/dev/null")])
    {
        let watched = check(&home, file).map_err(|e| format!("{}: {e}", file.display()))?;
        assert!(matches!(watched.ended.code, Some(7 | 8)), "{}: {watched:?}", file.display());
        assert!(watched.error()?.0.contains(&file.display().to_string()), "{watched:?}");
    }
    Ok(())
}

#[test]
fn nobody_waits_for_what_a_pipe_may_hold() -> Result<()> {
    let home = Home::new()?;
    let fifo = home.path("fifo.wasm");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status()?;
    assert!(made.success());
    let watched = check(&home, &fifo)?;
    assert!(matches!(watched.ended.code, Some(7 | 8)), "{watched:?}");
    Ok(())
}

#[test]
fn a_folder_of_broken_plugins_does_not_hide_a_good_one() -> Result<()> {
    let home = Home::new()?;
    let folder = home.plugins()?;
    let good = Guest::service("good").build()?;
    let mut traps = Guest::service("evil");
    traps.describe = vec![Step::Trap];
    let mut colours = Guest::service("evil");
    colours.description.summary = "\u{1b}[2Jgood".into();
    for (name, bytes) in [
        ("good.wasm", good.clone()),
        ("traps.wasm", traps.build()?),
        ("colours.wasm", colours.build()?),
        ("cut.wasm", good[..good.len() / 2].to_vec()),
        ("empty.wasm", Vec::new()),
    ] {
        std::fs::write(folder.join(name), bytes)?;
    }
    for more in [&[][..], &["--json"]] {
        let watched = home.couchcopy(&[&["plugin", "list"], more].concat(), LIMIT)?;
        assert_eq!(watched.ended.code, Some(3), "{watched:?}");
        assert!(watched.ended.stdout.contains("made to test with"), "{watched:?}");
        for name in ["traps.wasm", "colours.wasm", "cut.wasm", "empty.wasm"] {
            assert!(watched.ended.stdout.contains(name), "{name}: {watched:?}");
        }
        assert_eq!(watched.control_characters(), [], "{watched:?}");
    }
    Ok(())
}

#[test]
fn names_of_files_are_nothing_that_a_terminal_obeys() -> Result<()> {
    let home = Home::new()?;
    std::fs::write(home.plugins()?.join("\u{1b}[2J\u{7}.wasm"), "")?;
    let watched = home.couchcopy(&["plugin", "list"], LIMIT)?;
    assert_eq!(watched.ended.code, Some(3), "{watched:?}");
    assert_eq!(watched.control_characters(), [], "{watched:?}");
    Ok(())
}

/// Code that keeps a compiler busy: one large function with hundreds of thousands of values alive at once.
#[test]
fn code_that_is_hard_to_compile_is_compiled_or_refused() -> Result<()> {
    let home = Home::new()?;
    let mut guest = Guest::service("slow");
    let values = 200_000;
    guest.functions = format!(
        "(func (export \"slow\") (result i32) {} {})",
        "i32.const 0 i32.load ".repeat(values),
        "i32.add ".repeat(values - 1)
    );
    let file = home.write("slow.wasm", &guest.build()?)?;
    let watched = check(&home, &file)?;
    assert!(matches!(watched.ended.code, Some(0 | 8)), "{watched:?}");
    Ok(())
}
