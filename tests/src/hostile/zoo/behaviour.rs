//! Plugins that never end, take too much or break.

use super::{End, LONG, Zoo};
use crate::Result;
use crate::hostile::guest::{Answer, Step};
use crate::hostile::image::{Command, List, Pattern, Text};

pub(super) fn never_ending(zoo: &mut Zoo) -> Result<()> {
    zoo.add("loop-in-describe", "status", End::Deadline, |g| g.describe = vec![Step::Loop])?;
    zoo.add("loop-in-start", "start", End::Deadline, |g| g.start.steps = vec![Step::Loop])?;
    zoo.add("loop-in-stop", "stop", End::Deadline, |g| g.stop.steps = vec![Step::Loop])?;
    zoo.add("loop-in-status", "status", End::Deadline, |g| g.status.steps = vec![Step::Loop])?;
    zoo.add("loop-when-instantiated", "status", End::Deadline, |g| g.instantiate = vec![Step::Loop])?;
    zoo.add("loop-in-realloc", "status", End::Deadline, |g| g.realloc = vec![Step::Loop])?;
    zoo.add("loop-in-post-return", "status", End::Deadline, |g| g.post_return = vec![Step::Loop])?;
    zoo.add("sleep-without-end", "stop", End::Deadline, |g| g.stop.steps = vec![Step::SleepForever])?;
    zoo.add("sleep-in-describe", "status", End::Deadline, |g| g.describe = vec![Step::SleepForever])?;
    zoo.add("short-sleeps-without-end", "stop", End::Deadline, |g| {
        g.stop.steps = vec![Step::Sleep(0), Step::Sleep(1), Step::Loop];
    })
}

pub(super) fn greedy(zoo: &mut Zoo) -> Result<()> {
    zoo.add("grab-memory", "status", End::Memory, |g| g.status.steps = vec![Step::Grab])?;
    zoo.add("grab-memory-in-describe", "status", End::Memory, |g| g.describe = vec![Step::Grab])?;
    zoo.add("grab-memory-at-once", "status", End::Memory, |g| {
        g.status.steps = vec![Step::GrabAtOnce(65_000)];
    })?;
    zoo.add("grab-memory-when-instantiated", "status", End::Memory, |g| g.pages = 65_000)?;
    zoo.add("gigabytes-of-log", "status", End::Log, |g| {
        g.status.steps = vec![Step::Log { bytes: 65_536, times: Some(50_000) }];
    })?;
    zoo.add("log-without-end", "status", End::Log, |g| {
        g.status.steps = vec![Step::Log { bytes: 65_536, times: None }];
    })?;
    zoo.add("log-nothing-without-end", "status", End::Deadline, |g| {
        g.status.steps = vec![Step::Log { bytes: 0, times: None }];
    })?;
    // A pointer and a length for each, all to one text: what takes a megabyte there takes gigabytes here.
    zoo.add("texts-that-multiply", "status", End::Error, |g| {
        let long = Text::At { pointer: 0, length: LONG as u32 };
        g.description.commands =
            vec![Pattern { words: List::Repeated(Box::new(long), 100_000), purpose: "none".into() }].into();
    })?;
    zoo.add("arguments-that-multiply", "status", End::Error, |g| {
        let long = Text::At { pointer: 0, length: LONG as u32 };
        g.status.steps = vec![Step::Run(Command {
            program: "true".into(),
            arguments: List::Repeated(Box::new(long), 100_000),
        })];
    })?;
    zoo.add("million-settings", "status", End::Error, |g| {
        g.pages = 600;
        g.description.settings = List::At { pointer: 65_536, length: 1_000_000 };
    })
}

pub(super) fn broken(zoo: &mut Zoo) -> Result<()> {
    zoo.add("trap-in-describe", "status", End::Trap, |g| g.describe = vec![Step::Trap])?;
    zoo.add("trap-in-start", "start", End::Trap, |g| g.start.steps = vec![Step::Trap])?;
    zoo.add("trap-in-stop", "stop", End::Trap, |g| g.stop.steps = vec![Step::Trap])?;
    zoo.add("trap-in-status", "status", End::Trap, |g| g.status.steps = vec![Step::Trap])?;
    zoo.add("trap-when-instantiated", "status", End::Trap, |g| g.instantiate = vec![Step::Trap])?;
    zoo.add("trap-in-realloc", "status", End::Trap, |g| g.realloc = vec![Step::Trap])?;
    zoo.add("trap-in-post-return", "status", End::Trap, |g| g.post_return = vec![Step::Trap])?;
    zoo.add("recursion", "status", End::Trap, |g| g.status.steps = vec![Step::Recurse])?;
    zoo.add("recursion-in-describe", "status", End::Trap, |g| g.describe = vec![Step::Recurse])?;
    zoo.add("memory-outside-of-memory", "status", End::Nonsense, |g| g.reallocated = Some(u32::MAX - 63))?;
    zoo.add("result-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.answer = Answer::At(u32::MAX - 63);
    })?;
    zoo.add("result-not-aligned", "start", End::Nonsense, |g| g.start.answer = Answer::At(1025))?;
    zoo.add("state-that-is-none", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Record([&[0; 4][..], &[7; 48]].concat());
    })?;
    zoo.add("error-that-is-none", "start", End::Nonsense, |g| {
        g.start.answer = Answer::Record([&[1, 0, 0, 0][..], &[200; 48]].concat());
    })?;
    zoo.add("error-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Error(Text::At { pointer: u32::MAX - 63, length: 1000 });
    })?;
    zoo.add("error-of-absurd-length", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Error(Text::At { pointer: 1024, length: u32::MAX });
    })?;
    zoo.add("error-not-utf-8", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Error(Text::Bytes(b"\xff\xfe\xc0\x80".to_vec()));
    })?;
    zoo.add("error-with-escapes", "status", End::Error, |g| {
        g.status.answer =
            Answer::Error("\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31mall is well\0\u{202e}".into());
    })?;
    zoo.add("log-with-escapes", "status", End::Well, |g| {
        g.status.steps =
            vec![Step::LogText("\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31mall is well\0\u{202e}".into())];
    })?;
    zoo.add("log-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.steps = vec![Step::LogText(Text::At { pointer: u32::MAX - 63, length: 1000 })];
    })?;
    zoo.add("command-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.steps = vec![Step::Run(Command {
            program: "true".into(),
            arguments: List::At { pointer: u32::MAX - 63, length: 1000 },
        })];
    })
}
