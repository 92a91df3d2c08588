//! What every access plugin has to do, tried on all of them: a real sshd, sudo and doas as they are, and programs that take
//! the place of docker and kubectl, write down how they were called and run the command here.
//!
//! What is not installed, or needs what this system does not let us have, is told as skipped.

mod way;

use std::io::{Read, Write};
use std::net::TcpListener;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{binary, run, skipped};
use couchcopy_tests::managers::{Machine, is_understood, reference, write_program};
use rustix::process::getuid;

use self::way::Way;

/// The suite, run with each way.
macro_rules! suite {
    ($($way:ident),* $(,)?) => {
        $(mod $way {
            use super::*;

            #[test]
            fn arguments_arrive_as_they_are() -> Result<()> {
                Way::$way()?.map_or(Ok(()), |way| super::arguments_arrive_as_they_are(&way))
            }

            #[test]
            fn streams_and_exit_codes_come_through() -> Result<()> {
                Way::$way()?.map_or(Ok(()), |way| super::streams_and_exit_codes_come_through(&way))
            }
        })*
    };
}

suite!(ssh, sudo, doas, docker, kubernetes, ssh_then_sudo, ssh_then_docker);

/// Writes its arguments down, each followed by a NUL.
const PROBE: &str = "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done\n";

fn arguments_arrive_as_they_are(way: &Way) -> Result<()> {
    let probe = way.machine().path("probe");
    write_program(&probe, PROBE)?;
    let probe = probe.to_str().ok_or("a path that is not Unicode")?;
    let long = "x".repeat(100 * 1024);
    let lists: [&[&str]; 8] = [
        &[],
        &[""],
        &["", "", "a", ""],
        &[
            "two words",
            " leading",
            "trailing ",
            "  ",
            "tab\there",
            "line\nbreak",
            "\n",
            "carriage\rreturn\r\n",
        ],
        &["'", "\"", "it's", "\\", "\\\\", "\\'", "a'b\"c`d", "''", "!", "!!", "^", "%", "%s", "\\n"],
        &[
            "$(id)", "`id`", "$HOME", "${HOME}", "$$", ";id", "&", "|", ">file", "<", "*", "?", "[a]",
            "{a,b}", "~", "#",
        ],
        &[
            "-",
            "--",
            "-n",
            "--help",
            "-oProxyCommand=id",
            "A=b",
            "ünïcödé",
            "日本語",
            "💩",
            "\u{1b}[31m",
            "\u{7f}\u{1}",
        ],
        &[&long],
    ];
    for list in lists {
        let came = way.run(&[&[probe], list].concat(), b"")?;
        let mut wanted = Vec::new();
        for word in list {
            wanted.extend_from_slice(word.as_bytes());
            wanted.push(0);
        }
        assert_eq!(came.code, Some(0), "{list:?}: {}", came.stderr);
        assert!(came.stdout == wanted, "{list:?} arrived as {:?}", String::from_utf8_lossy(&came.stdout));
    }
    Ok(())
}

fn streams_and_exit_codes_come_through(way: &Way) -> Result<()> {
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let came = way.run(&["cat"], &bytes)?;
    assert_eq!(came.code, Some(0), "{}", came.stderr);
    assert!(came.stdout == bytes, "{} bytes of {} came back, or others", came.stdout.len(), bytes.len());

    let came = way.run(&["sh", "-c", "printf 'out\\377'; echo err >&2"], b"")?;
    assert_eq!(came.stdout, b"out\xff");
    assert!(came.stderr.contains("err\n"), "{}", came.stderr);

    for code in [0, 1, 7, 42, 254] {
        let came = way.run(&["sh", "-c", &format!("exit {code}")], b"")?;
        assert_eq!(came.code, Some(code), "{}", came.stderr);
    }
    let came = way.run(&["couchcopy-test-no-such-program"], b"")?;
    assert_ne!(came.code, Some(0));
    assert!(came.stderr.contains("couchcopy-test-no-such-program"), "{}", came.stderr);
    Ok(())
}

#[test]
fn ssh_refuses_hosts_that_look_like_options() -> Result<()> {
    let Some(way) = Way::ssh()? else { return Ok(()) };
    let machine = way.machine();
    let marker = machine.path("marker");
    let host = format!("-oProxyCommand=touch {}", marker.display());
    let plugin = way.words.first().cloned().unwrap_or_default();
    let tries: [&[&str]; 3] = [
        &["exec", &host, "--", "true"],
        &["exec", "-", "--", "true"],
        &["exec", "--json", &host, "--", "true"],
    ];
    for words in tries {
        let refused = run(machine.command(binary()?).args(["plugin", "run", &plugin]).args(words))?;
        assert!(!matches!(refused.code, Some(0 | 1 | 255)), "{refused:?}");
    }
    // A service plugin's way to it, likewise.
    let refused = run(machine.command(binary()?).args([
        "plugin",
        "run",
        "command:start=true,stop=true,status=true",
        "status",
        &host,
        "--via",
        &plugin,
    ]))?;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(!marker.exists(), "ssh took the host for an option");
    Ok(())
}

/// sudo stays on the machine that ssh leads to, and has no part in it.
#[test]
fn ssh_reaches_ports_as_seen_from_the_node() -> Result<()> {
    let Some(mut way) = Way::ssh()? else { return Ok(()) };
    "connect".clone_into(&mut way.words[1]);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // Says what it was told once that is complete, so that both directions have to end by themselves.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut told = Vec::new();
            let _ = stream.read_to_end(&mut told).and_then(|_| stream.write_all(&told));
        }
    });
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let nothing = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    for last in [None, Some("sudo")] {
        if let Some(last) = last {
            way = way.and_then(last);
        }
        for host in ["127.0.0.1", "localhost"] {
            let came = way.run(&[&format!("{host}:{port}")], &bytes)?;
            assert_eq!(came.code, Some(0), "{host}: {}", came.stderr);
            assert!(
                came.stdout == bytes,
                "{host}: {} bytes of {}, or others",
                came.stdout.len(),
                bytes.len()
            );
        }
        let came = way.run(&[&nothing.to_string()], b"")?;
        assert_ne!(came.code, Some(0));
        assert!(came.stdout.is_empty() && came.stderr.contains("open failed"), "{}", came.stderr);
        for wrong in ["-oProxyCommand=x:1", "/run/x:1", "a b:1", "%h:1"] {
            let came = way.run(&[wrong], b"")?;
            assert_eq!(came.code, Some(8), "{wrong}: {}", came.stderr);
            assert!(came.stderr.contains(": connect on "), "{wrong}: {}", came.stderr);
        }
    }
    Ok(())
}

#[test]
fn ways_that_reach_no_ports_say_so() -> Result<()> {
    let machine = Machine::new()?;
    let connect = ["plugin", "run", "sudo", "connect", "localhost", "--", "localhost:5984"];
    let refused = run(machine.command(binary()?).args(connect))?;
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("no plugin in the access chain of"), "{refused:?}");
    assert!(refused.stderr.contains("ssh can"), "{refused:?}");
    Ok(())
}

#[test]
fn ssh_tells_why_it_did_not_get_there() -> Result<()> {
    let Some(way) = Way::ssh()? else { return Ok(()) };
    // Nobody may log in with this one.
    let key = way.machine().path("host-key");
    let options = format!("-F '{}' -o ConnectTimeout=20", way.machine().path("ssh-config").display());
    let stranger = reference(
        "ssh",
        &[("port", "2222"), ("identity", &key.display().to_string()), ("options", &options)],
    );
    let host = way.words.last().cloned().unwrap_or_default();
    let came = run(way
        .machine()
        .command(binary()?)
        .args(["plugin", "run", &stranger, "exec", &host, "--", "true"]))?;
    assert_ne!(came.code, Some(0), "{came:?}");
    assert!(came.stderr.contains("Permission denied"), "{came:?}");
    let start =
        ["plugin", "run", "command:start=true,stop=true,status=true", "start", &host, "--via", &stranger];
    let came = run(way.machine().command(binary()?).args(start))?;
    assert_eq!(came.code, Some(8), "{came:?}");
    assert!(came.stderr.contains("Permission denied"), "{came:?}");
    Ok(())
}

#[test]
fn sudo_becomes_another_user() -> Result<()> {
    if !getuid().is_root() {
        skipped("it takes root to become another user");
        return Ok(());
    }
    let Some(mut way) = Way::sudo()? else { return Ok(()) };
    way.words[0] = reference("sudo", &[("user", "nobody")]);
    let came = way.run(&["id", "-u", "-n"], b"")?;
    assert_eq!(came.stdout, b"nobody\n", "{}", came.stderr);
    way.words[0] = reference("sudo", &[("user", "couchcopy-test-nobody")]);
    let came = way.run(&["id", "-u", "-n"], b"")?;
    assert_ne!(came.code, Some(0));
    assert!(came.stderr.contains("couchcopy-test-nobody"), "{}", came.stderr);
    Ok(())
}

#[test]
fn docker_is_called_as_its_manual_says() -> Result<()> {
    let Some(mut way) = Way::docker()? else { return Ok(()) };
    way.run(&["cat", "-n", "/a b"], b"")?;
    assert_eq!(way.calls()?, [words(&["exec", "-i", "--", "couch-1", "cat", "-n", "/a b"])]);
    way.words[0] = reference("docker", &[("container", "couch-1"), ("user", "couchdb")]);
    way.run(&["id"], b"")?;
    let calls = way.calls()?;
    assert_eq!(calls, [words(&["exec", "-i", "--user=couchdb", "--", "couch-1", "id"])]);
    // The real one understands it as well; there is nothing to talk to.
    is_understood("docker", &["--host=unix:///nonexistent/couchcopy-test"], &calls)
}

#[test]
fn kubectl_is_called_as_its_manual_says() -> Result<()> {
    let Some(mut way) = Way::kubernetes()? else { return Ok(()) };
    way.run(&["cat", "-n", "/a b"], b"")?;
    assert_eq!(way.calls()?, [words(&["exec", "-i", "couch-0", "--", "cat", "-n", "/a b"])]);
    let settings = [("pod", "couch-0"), ("container", "couchdb"), ("namespace", "db")];
    way.words[0] = reference("kubernetes", &settings);
    way.run(&["id"], b"")?;
    let calls = way.calls()?;
    assert_eq!(
        calls,
        [words(&["--namespace=db", "exec", "-i", "--container=couchdb", "couch-0", "--", "id"])]
    );
    is_understood("kubectl", &["--kubeconfig=/dev/null", "--server=http://127.0.0.1:1"], &calls)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
