//! Programs of the user's that hear of a backup.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often the end of a program is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a program with `input` on its standard input and waits for its end. What it prints goes to standard error.
///
/// The error is a text for the user: the program could not be started, ended with another code than 0, or took longer than
/// `timeout` and was killed together with its children.
pub fn run_hook(command: &[String], input: &str, timeout: Duration) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Err("the command is empty".into()) };
    let output = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(output))
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let stdin = child.stdin.take();
    let ended = std::thread::scope(|scope| {
        // A program need not read its input, and a pipe holds only so much of it.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let ended = wait(&mut child, timeout);
        if !matches!(ended, Ok(Some(_))) {
            kill(&mut child);
        }
        ended
    });
    match ended {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("{program} ended with {status}")),
        Ok(None) => Err(format!("{program} took longer than {} s and was killed", timeout.as_secs())),
        Err(error) => Err(format!("cannot wait for {program}: {error}")),
    }
}

/// How the program ended; `None` if it still runs after this time.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= timeout {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Ends the program and everything that it has started.
fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_hook_gets_its_input_and_no_shell_reads_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("$HOME; x");
        run_hook(&words(&["tee", file.to_str().unwrap()]), "{\"a\":1}\n", LONG).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"a\":1}\n");
        // It need not read more than a pipe holds.
        run_hook(&words(&["true"]), &"x".repeat(1 << 20), LONG).unwrap();
    }

    #[test]
    fn a_hook_that_fails_says_why() {
        let of = |command: &[&str], timeout| run_hook(&words(command), "", timeout).unwrap_err();
        assert!(of(&["/nonexistent/x"], LONG).starts_with("cannot start /nonexistent/x"));
        assert!(of(&["sh", "-c", "exit 7"], LONG).contains('7'));
        assert!(of(&[], LONG).contains("empty"));
        let begun = Instant::now();
        let message = of(&["sh", "-c", "sleep 600 & sleep 600"], Duration::from_millis(50));
        assert!(message.contains("was killed") && begun.elapsed() < LONG, "{message}");
    }
}
