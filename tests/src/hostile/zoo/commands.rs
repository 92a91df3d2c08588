//! Plugins that run what nobody has granted.

use super::{End, Witness, Zoo};
use crate::Result;
use crate::hostile::guest::Step;
use crate::hostile::image::{Command, List, Pattern, Text};

pub(super) fn forbidden_commands(zoo: &mut Zoo, witness: Witness<'_>) -> Result<()> {
    let file = witness.path();
    let up = format!("/tmp/../{file}");
    let cases: &[(&'static str, &[&str], Command)] = &[
        ("undeclared-command", &["true"], witness.touch()),
        ("other-program-of-the-name", &["touch"], Command::new(&["/bin/touch", &file])),
        ("argument-missing", &["touch", "-c", &file], Command::new(&["touch", &file])),
        ("argument-extra", &["touch"], witness.touch()),
        ("argument-other", &["touch", "/dev/null"], witness.touch()),
        ("argument-before", &["touch", &file], Command::new(&["env", "touch", &file])),
        ("arguments-in-one", &["touch", &file], Command::new(&["touch", &format!("{file} {file}")])),
        ("program-and-argument-in-one", &["touch", &file], Command::new(&[&format!("touch {file}")])),
        ("option-for-a-star", &["touch", "*"], Command::new(&["touch", &format!("--reference={file}")])),
        ("path-up-for-a-star", &["touch", "*"], Command::new(&["touch", &up])),
        ("newline-for-a-star", &["touch", "*"], Command::new(&["touch", &format!("{file}\n")])),
        ("newline-behind", &["touch", "-c", "/dev/null"], Command::new(&["touch", "-c", "/dev/null\n"])),
        ("nul-for-a-star", &["touch", "*"], Command::new(&["touch", &format!("{file}\0.txt")])),
        ("nul-behind", &["touch", "-c", "/dev/null"], Command::new(&["touch", "-c", "/dev/null\0"])),
        ("nul-in-the-program", &["touch", "*"], Command::new(&["touch\0", &file])),
        ("nothing-for-a-star", &["touch", "-c", "*"], Command::new(&["touch", "-c", ""])),
        ("two-for-a-star", &["touch", "-c", "*"], Command::new(&["touch", "-c", "/dev/null", &file])),
        ("no-program", &["touch", "*"], Command::new(&["", &file])),
        ("shell", &["true"], Command::new(&["sh", "-c", &format!("touch {file}")])),
    ];
    for (name, pattern, command) in cases {
        zoo.add(name, "start", End::NotPermitted, |g| {
            g.description.commands = vec![Pattern::new(pattern)].into();
            g.start.steps = vec![Step::Run(command.clone())];
        })?;
    }
    zoo.add("undeclared-command-in-silence", "stop", End::NotPermitted, |g| {
        g.stop.steps = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("undeclared-command-again-and-again", "stop", End::NotPermitted, |g| {
        g.stop.steps = vec![Step::RunAnyway(witness.touch()); 1000];
    })?;
    zoo.add("command-not-utf-8", "stop", End::Nonsense, |g| {
        g.stop.steps = vec![Step::Run(Command {
            program: "true".into(),
            arguments: List::Of(vec![Text::Bytes(b"\xff\xfe".to_vec())]),
        })];
    })?;
    // Its own description would allow it, but that is not read yet.
    zoo.add("command-in-describe", "status", End::Well, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.describe = vec![Step::RunAnyway(witness.touch())];
    })?;
    // The host cannot be called yet, or not now.
    zoo.add("command-when-instantiated", "status", End::Trap, |g| {
        g.instantiate = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("command-in-realloc", "status", End::Trap, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.realloc = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("command-in-post-return", "status", End::Trap, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.post_return = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("another-description-later", "start", End::NotPermitted, |g| {
        let mut later = g.description.clone();
        later.commands = vec![Pattern::new(&["touch", &file])].into();
        g.later = Some(later);
        g.start.steps = vec![Step::Run(witness.touch())];
    })
}
