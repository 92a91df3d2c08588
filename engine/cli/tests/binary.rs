//! The command starts and knows itself. What it does is tested in the workspace's package `tests`, for which these tests
//! also make cargo build the command with the features that everything else is built with.

use std::process::Command;

fn couchcopy(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_couchcopy")).args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (code, stdout, stderr) = couchcopy(&["--version"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.trim(), format!("couchcopy {}", env!("CARGO_PKG_VERSION")));
    let (code, help, _) = couchcopy(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["backup", "restore", "verify", "info", "ls", "cat", "service", "plugin"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in\n{help}"
        );
        let (code, help, stderr) = couchcopy(&[command, "--help"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{command}");
        assert!(help.contains("Usage:"), "{help}");
    }
}

#[test]
fn wrong_arguments_end_with_2() {
    for arguments in
        [&["backup"][..], &["nonsense"], &["plugin"], &["service", "status"], &["plugin", "run", "x"]]
    {
        let (code, stdout, stderr) = couchcopy(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
    }
}
