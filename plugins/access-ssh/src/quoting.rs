//! The one place where a command becomes a text that a shell reads: ssh hands the words behind the host over joined by
//! blanks, and sshd gives that to the user's shell.

use couchcopy_plugin::{Command, Error};

/// The line that makes a POSIX shell run this very command. It is what `{command}` in a pattern stands for.
pub(crate) fn quote(command: &Command) -> Result<String, Error> {
    let words = std::iter::once(&command.program).chain(&command.arguments).map(String::as_str);
    patterns::join(words).ok_or_else(|| Error::other("no argument of a program can hold a NUL"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{self, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// Shells that a user may have over there. Those that are missing on this machine are left out, `sh` never is.
    const SHELLS: [&[&str]; 5] = [&["sh"], &["dash"], &["bash"], &["zsh"], &["busybox", "sh"]];

    fn shells() -> Vec<&'static [&'static str]> {
        let is_there = |shell: &&[&str]| {
            process::Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", "exit 0"])
                .stdin(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let found: Vec<_> = SHELLS.into_iter().filter(is_there).collect();
        assert!(found.contains(&&["sh"][..]));
        found
    }

    /// What a program gets of a line that a shell reads: its arguments, each followed by a NUL.
    fn arguments(shell: &[&str], line: &str) -> Vec<u8> {
        let output = process::Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", line])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{shell:?} -c {line:?}: {output:?}");
        output.stdout
    }

    fn is_unharmed(words: &[String], shells: &[&[&str]]) {
        // `env` is no shell's own command, so that its arguments come from outside of the shell.
        let command = Command::new("env").args(["printf", "%s\\0"]).args(words.iter().cloned());
        let wanted: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        let line = quote(&command).unwrap();
        for shell in shells {
            assert_eq!(arguments(shell, &line), wanted, "{shell:?} -c {line:?}");
        }
    }

    #[test]
    fn what_shells_make_something_of_arrives() {
        let words = [
            "",
            " ",
            "  ",
            "'",
            "''",
            "\"",
            "\\",
            "\\\\",
            "\\'",
            "$",
            "$HOME",
            "${HOME}",
            "$(id)",
            "`id`",
            "*",
            "?",
            "[a-z]*",
            "~",
            "~root",
            "{a,b}",
            "!",
            "!!",
            "!$",
            "#",
            "# x",
            ";",
            "&",
            "&&",
            "|",
            "||",
            "<",
            ">",
            ">>",
            "<<x",
            "(",
            ")",
            "()",
            "a=b",
            "-",
            "--",
            "-n",
            "%s",
            "\n",
            "a\nb\n",
            "\t",
            "\r",
            "\r\n",
            "\u{1}",
            "\u{7f}",
            "\u{1b}[2J",
            "^",
            "^a^b",
            "'!'",
            "a'!b",
            "\\n",
            "\\\n",
            "ä",
            "\u{2028}",
            "\u{fffd}",
            "\u{1f4a9}",
            "$'\\x41'",
            "$\"x\"",
            "=ls",
            "%1",
            "@",
            "+(a)",
            "if",
            "do",
            "done",
            "time",
            "{",
            "}",
            "[[",
            "exit",
            "exec",
            "eval",
            "/a b/$(touch x)/`y`/\"z\"/'q'",
        ]
        .map(str::to_owned);
        is_unharmed(&words, &shells());
        for word in &words {
            is_unharmed(std::slice::from_ref(word), &[&["sh"]]);
        }
    }

    #[test]
    fn the_program_is_quoted_too() {
        let folder = std::env::temp_dir().join(format!("couchcopy-quoting-{}", process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["a b", "$(id)", "a=b", "a'b", "-n", "*"] {
            let program = folder.join(name);
            let mut file = std::fs::File::create(&program).unwrap();
            file.write_all(b"#!/bin/sh\nprintf '%s|' \"$0\" \"$@\"\n").unwrap();
            std::os::unix::fs::fchown(&file, None, None).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            file.set_permissions(mode).unwrap();
            drop(file);
            let program = program.to_str().unwrap();
            let line = quote(&Command::new(program).arg("x y")).unwrap();
            for shell in shells() {
                let said = String::from_utf8(arguments(shell, &line)).unwrap();
                assert_eq!(said, format!("{program}|x y|"), "{shell:?}");
            }
        }
        // Unquoted it would be an assignment, and the argument the program.
        assert_eq!(quote(&Command::new("A=b").arg("id")).unwrap(), "'A=b' id");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_nul_is_refused() {
        assert!(quote(&Command::new("a\0")).is_err());
        assert!(quote(&Command::new("a").arg("\0")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_words_arrive(words in proptest::collection::vec("[^\0]{0,20}", 1..6)) {
            is_unharmed(&words, &shells_once());
        }

        #[test]
        fn words_of_what_shells_love_arrive(words in proptest::collection::vec("[ '\"\\\\$`!*?~#&|;<>(){}\\[\\]=%\n\t\ra-c-]{0,12}", 1..6)) {
            is_unharmed(&words, &shells_once());
        }
    }

    fn shells_once() -> Vec<&'static [&'static str]> {
        static FOUND: std::sync::OnceLock<Vec<&'static [&'static str]>> = std::sync::OnceLock::new();
        FOUND.get_or_init(shells).clone()
    }
}
