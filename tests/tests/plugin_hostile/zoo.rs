//! Every hostile plugin once.

use std::path::Path;
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::hostile::{
    Answer, Command, End, Function, Guest, Home, Hostile, Pattern, Step, Watched, Witness,
};
use couchcopy_tests::hostile::{access_zoo, service_zoo};

/// What the command is told that a call may take, in seconds.
const DEADLINE: u64 = 2;
/// The same where a call is to end before its deadline.
const PATIENT: u64 = 60;
/// How much longer the command may take, most of it for a busy machine.
const MARGIN: Duration = Duration::from_secs(30);
/// MiB of memory: the plugin's 256, a hundred for what it hands over, and the command itself.
const MEMORY: u64 = 512;

fn call(home: &Home, plugin: &Path, function: &str) -> Result<Watched> {
    call_within(home, plugin, function, DEADLINE)
}

fn call_within(home: &Home, plugin: &Path, function: &str, seconds: u64) -> Result<Watched> {
    let deadline = seconds.to_string();
    let plugin = plugin.to_str().ok_or("a path that is no text")?;
    let mut arguments = vec![
        "plugin",
        "run",
        plugin,
        function,
        "localhost",
        "--grant",
        plugin,
        "--deadline",
        &deadline,
        "--json",
    ];
    match function {
        "exec" => arguments.extend(["--", "echo", "granted"]),
        "connect" => arguments.extend(["--", "localhost:5984"]),
        _ => {}
    }
    home.couchcopy(&arguments, Duration::from_secs(seconds) + MARGIN)
}

/// What the error has to say, in these words.
fn words(end: End) -> &'static [&'static str] {
    match end {
        End::Deadline => &["did not end within 2 s"],
        End::Memory => &["needed more than the", "MiB of memory"],
        End::Trap | End::Nonsense => &["crashed"],
        End::NotPermitted => &["no pattern of its description allows"],
        End::Log => &["logged more than"],
        End::Description => &["description is not valid"],
        End::NoPlugin => &["cannot be loaded"],
        End::Version => &["version", "of the plugin contract; this couchcopy supports version 0.1.0"],
        End::Well | End::Error => &[],
    }
}

fn judge(hostile: &Hostile, plugin: &Path, watched: &Watched) -> Result<()> {
    let wrong = |what: &str| Err(format!("{what}: {watched:?}").into());
    if watched.peak > MEMORY {
        return wrong("it held too much memory");
    }
    if !watched.control_characters().is_empty() {
        return wrong("a terminal would obey what it printed");
    }
    if watched.ended.stdout.len() + watched.ended.stderr.len() > 100_000 {
        return wrong("it printed too much");
    }
    if hostile.end == End::Well {
        return if watched.ended.code == Some(0) { Ok(()) } else { wrong("it failed") };
    }
    if watched.ended.code != Some(8) {
        return wrong("another exit code than 8");
    }
    let (message, remedy) = watched.error()?;
    for word in words(hostile.end) {
        if !message.contains(word) {
            return wrong(&format!("it does not say {word:?}"));
        }
    }
    // What did not come as far as a description is named by its file.
    let function = if hostile.function == "exec" { "wrap" } else { hostile.function };
    let called = message.contains(&format!("plugin evil 9.8.7: {function} on "));
    let loaded = message.contains(&plugin.display().to_string());
    if !called && !loaded {
        return wrong("it does not name plugin, version, function and node");
    }
    if remedy.len() < 20 {
        return wrong("it does not say what to do");
    }
    Ok(())
}

/// Calls all of a zoo that end in one of these ways.
fn all_end(ends: &[End]) -> Result<()> {
    let home = Home::new()?;
    let witness = home.path("witness");
    let zoo = [service_zoo(Witness(&witness))?, access_zoo(Witness(&witness))?].concat();
    let mut wrong = Vec::new();
    for hostile in zoo.iter().filter(|hostile| ends.contains(&hostile.end)) {
        let plugin = home.write(&format!("{}.wasm", hostile.name), &hostile.component)?;
        // What takes all it can get needs its time on a busy machine.
        let seconds = if matches!(hostile.end, End::Memory | End::Log) { PATIENT } else { DEADLINE };
        let called = call_within(&home, &plugin, hostile.function, seconds);
        let judged = called.and_then(|watched| judge(hostile, &plugin, &watched));
        if let Err(e) = judged {
            wrong.push(format!("{}: {e}", hostile.name));
        }
        if witness.exists() {
            wrong.push(format!("{}: it ran what was not granted", hostile.name));
            std::fs::remove_file(&witness)?;
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n").into()) }
}

#[test]
fn what_never_ends_ends_at_its_deadline() -> Result<()> {
    all_end(&[End::Deadline])
}

#[test]
fn what_grabs_memory_or_floods_the_log_is_ended() -> Result<()> {
    all_end(&[End::Memory, End::Log])
}

#[test]
fn what_crashes_or_hands_over_nonsense_is_told() -> Result<()> {
    all_end(&[End::Trap, End::Nonsense])
}

#[test]
fn nothing_is_run_that_was_not_granted() -> Result<()> {
    all_end(&[End::NotPermitted])
}

#[test]
fn wrong_descriptions_are_refused() -> Result<()> {
    all_end(&[End::Description])
}

#[test]
fn what_is_no_plugin_or_one_for_another_contract_is_told() -> Result<()> {
    all_end(&[End::NoPlugin, End::Version])
}

#[test]
fn whatever_else_they_do_harms_nobody() -> Result<()> {
    all_end(&[End::Well, End::Error])
}

#[test]
fn a_newer_contract_is_named_with_what_to_do() -> Result<()> {
    let home = Home::new()?;
    for version in ["0.2.0", "1.0.0"] {
        let plugin = home.write("newer.wasm", &Guest::service("evil").in_version(version).build()?)?;
        let (message, remedy) = call(&home, &plugin, "status")?.error()?;
        assert!(message.contains(&format!("version {version} ")), "{message}");
        assert!(remedy.contains("newer couchcopy") && remedy.contains("author"), "{remedy}");
    }
    Ok(())
}

#[test]
fn what_is_wrong_with_a_tunnel_is_told() -> Result<()> {
    let home = Home::new()?;
    let witness = home.path("witness");
    let zoo = access_zoo(Witness(&witness))?;
    for (name, wanted) in [
        ("connect-of-another-parameter", "its functions differ from those of the contract"),
        ("connect-of-another-result", "its functions differ from those of the contract"),
        ("connect-of-another-name", "its functions differ from those of the contract"),
        ("tunnel-without-access", "not a world of the contract"),
        ("tunnel-of-a-service", "not a world of the contract"),
    ] {
        let hostile = zoo.iter().find(|hostile| hostile.name == name).ok_or(name)?;
        let plugin = home.write(&format!("{name}.wasm"), &hostile.component)?;
        let (message, remedy) = call(&home, &plugin, hostile.function)?.error()?;
        assert!(message.contains(wanted), "{name}: {message}");
        assert!(remedy.contains("author"), "{name}: {remedy}");
    }
    Ok(())
}

/// A tunnel begins at the last way that can make one, and goes through those before it; those behind it are left out.
#[test]
fn tunnels_go_through_the_ways_before_them() -> Result<()> {
    let home = Home::new()?;
    let way = home.write("way.wasm", &Guest::access("way").build()?)?.display().to_string();
    let mut far = Guest::access_with_tunnel("far");
    far.description.commands =
        vec![Pattern::new(&["env", "{command...}"]), Pattern::new(&["echo", "far"])].into();
    let echo = Answer::Command(Command::new(&["echo", "far"]));
    far.connect = Some(Function { steps: Vec::new(), answer: echo });
    let far = home.write("far.wasm", &far.build()?)?.display().to_string();
    let mut lost = Guest::access("lost");
    lost.wrap.steps = vec![Step::Trap];
    let lost = home.write("lost.wasm", &lost.build()?)?.display().to_string();
    let run = |before: &str, last: &str| {
        let ways = ["plugin", "run", last, "connect", "localhost", "--via", before];
        let grants = ["--grant", &way, "--grant", &far, "--grant", &lost, "--json", "--", "localhost:5984"];
        home.couchcopy(&[&ways[..], &grants[..]].concat(), MARGIN)
    };
    for (before, last) in [(&way, &far), (&far, &way), (&far, &lost)] {
        let watched = run(before, last)?;
        assert_eq!((watched.ended.code, watched.ended.stdout.as_str()), (Some(0), "far\n"), "{watched:?}");
    }
    let (message, _) = run(&lost, &far)?.error()?;
    assert!(message.contains("lost 9.8.7: wrap on ") && message.contains("crashed"), "{message}");
    let watched = run(&way, &way)?;
    assert_eq!(watched.ended.code, Some(5), "{watched:?}");
    Ok(())
}

/// A program that goes on when its time is over is ended with the call that it belongs to.
#[test]
fn a_program_that_does_not_end_is_ended_with_the_call() -> Result<()> {
    let home = Home::new()?;
    let script = home.write("script", b"echo $$ > pid; sleep 600; touch witness")?;
    let script = script.to_str().ok_or("a path that is no text")?;
    let mut guest = Guest::service("evil");
    guest.description.commands = vec![Pattern::new(&["sh", script])].into();
    guest.stop.steps = vec![Step::Run(Command::new(&["sh", script]))];
    let plugin = home.write("evil.wasm", &guest.build()?)?;
    let watched = call(&home, &plugin, "stop")?;
    assert!(watched.error()?.0.contains("did not end within 2 s"), "{watched:?}");
    let process = std::fs::read_to_string(home.path("pid"))?;
    let state = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "it is still there: {state}");
    Ok(())
}

/// A way to the node that is hostile, for a service plugin that is not.
#[test]
fn a_hostile_way_runs_nothing_for_a_service_plugin() -> Result<()> {
    let home = Home::new()?;
    let witness = home.path("witness");
    let touch = ["touch", witness.to_str().ok_or("a path that is no text")?];
    let mut service = Guest::service("good");
    service.start.steps = vec![Step::Run(Command::new(&["true"]))];
    let service = home.write("good.wasm", &service.build()?)?;
    let good_way = home.write("way.wasm", &Guest::access("way").build()?)?;
    let run = |way: &Path| {
        let (service, way) = (service.display().to_string(), way.display().to_string());
        let arguments =
            ["plugin", "run", &service, "start", "--via", &way, "--grant", &service, "--grant", &way];
        home.couchcopy(&[&arguments[..], &["--deadline", "2", "--json"]].concat(), MARGIN)
    };
    let watched = run(&good_way)?;
    assert_eq!(watched.ended.code, Some(0), "{watched:?}");
    let mut evil = Guest::access("evil");
    evil.wrap.answer = Answer::Command(Command::new(&touch));
    let watched = run(&home.write("evil.wasm", &evil.build()?)?)?;
    assert_eq!(watched.ended.code, Some(8), "{watched:?}");
    let (message, _) = watched.error()?;
    assert!(message.contains("evil 9.8.7") && message.contains("no pattern"), "{message}");
    assert!(!witness.exists());
    Ok(())
}
