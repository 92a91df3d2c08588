//! The command starts and explains itself. What it does is tested in the workspace's package `tests`, for which these tests
//! also make cargo build the command with the features that everything else is built with.

use std::process::Command;

/// The most lines that `-h` may have, at 100 columns.
const SCREEN: usize = 52;

fn couchcopy(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_couchcopy"))
        .args(arguments)
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The help of a command.
fn help(command: &[String], how: &str) -> String {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push(how);
    let (code, help, stderr) = couchcopy(&arguments);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    help
}

/// Every command and subcommand, as the help lists them; the empty one is couchcopy itself.
fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut next = 0;
    while let Some(command) = found.get(next).cloned() {
        let help = help(&command, "-h");
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in listed.take_while(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
                let name = name.split(' ').next().unwrap_or_default().to_owned();
                found.push([command.clone(), vec![name]].concat());
            }
        }
        next += 1;
    }
    found
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (code, stdout, stderr) = couchcopy(&["--version"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.trim(), format!("couchcopy {}", env!("CARGO_PKG_VERSION")));
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let help = help(&command, "--help");
        assert!(help.contains("Usage: couchcopy"), "{help}");
        // Global options come last, so that they do not hide the command's own.
        let headings = help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' '));
        let options: Vec<&str> = headings.take_while(|line| !line.starts_with("Example")).collect();
        assert!(options.contains(&"Global options:"), "{command:?}: {options:?}");
        assert!(
            !options.contains(&"Options:") || command.len() == 1 || command[0] == "plugin",
            "{command:?}"
        );
    }
}

#[test]
fn the_short_help_fits_on_a_screen() {
    for command in commands() {
        let help = help(&command, "-h");
        let lines = help.lines().count();
        assert!(lines <= SCREEN, "{command:?}: {lines} lines\n{help}");
    }
}

/// A command that is broken in its middle cannot be copied.
#[test]
fn examples_fit_on_a_narrow_terminal() {
    for command in commands() {
        let help = help(&command, "--help");
        let examples = help.lines().skip_while(|line| !line.starts_with("Example"));
        for line in examples {
            assert!(line.chars().count() <= 78, "{command:?}: {line}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = std::env::temp_dir().join(format!("couchcopy-man-{}", std::process::id()));
    let (code, stdout, stderr) = couchcopy(&["man", folder.to_str().expect("UTF-8")]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let commands = commands();
    assert!(stdout.contains(&format!("{} manual pages", commands.len())), "{stdout}");
    for command in commands {
        let name = [vec!["couchcopy".to_owned()], command].concat().join("-");
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).expect(&name);
        assert!(
            page.contains(".SH SYNOPSIS") && page.contains("--threads") | page.contains("\\-\\-threads"),
            "{page}"
        );
    }
    std::fs::remove_dir_all(folder).expect("the pages can be removed");
}

#[test]
fn color_is_used_where_it_is_wanted() {
    for (arguments, expected) in [
        (&["info", "/nonexistent"][..], false),
        (&["info", "/nonexistent", "--color=always"], true),
        (&["info", "/nonexistent", "--color", "never"], false),
        (&["--color", "always", "nonsense"], true),
        (&["--color", "never", "nonsense"], false),
    ] {
        let (_, _, stderr) = couchcopy(arguments);
        assert_eq!(stderr.contains('\u{1b}'), expected, "{arguments:?}: {stderr:?}");
    }
}

#[test]
fn wrong_arguments_exit_with_2() {
    for arguments in
        [&["backup"][..], &["nonsense"], &["plugin"], &["service", "status"], &["plugin", "run", "x"]]
    {
        let (code, stdout, stderr) = couchcopy(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
    }
}
