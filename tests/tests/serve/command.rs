//! The command itself: what it says, refuses and how it ends.

use std::net::TcpListener;

use couchcopy_tests::lab::couchcopy;
use couchcopy_tests::{Result, fixtures};
use rustix::process::Signal;
use serde_json::json;

use crate::served::Served;

#[test]
fn says_where_it_answers_and_ends_when_asked() -> Result<()> {
    let archive = fixtures::path("single-node.tar.gz");
    for signal in [Signal::INT, Signal::TERM] {
        let mut served = Served::start(&[&archive], &[])?;
        assert_eq!(served.told["page"], format!("http://{}/_backup/", served.address));
        assert_eq!(served.told["archives"], json!([archive]));
        assert_eq!(served.http().get("/")?["couchdb"], "Welcome");
        assert_eq!(served.stop(signal)?.code(), Some(0));
    }
    Ok(())
}

#[test]
fn the_user_and_the_password_come_from_a_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    std::fs::write(&file, "password\nsomething else\n")?;
    let arguments = ["--user", "admin", "--password-file", file.to_str().ok_or("no text")?];
    let served = Served::start(&[&fixtures::path("single-node.tar.gz")], &arguments)?;
    // The lab's client says admin:password.
    assert_eq!(served.http().get("/_session")?["userCtx"]["name"], "admin");
    std::fs::write(&file, "another\n")?;
    let served = Served::start(&[&fixtures::path("single-node.tar.gz")], &arguments)?;
    assert_eq!(served.http().ask("GET", "/", None)?.status, 401);
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused() -> Result<()> {
    let archive = fixtures::path("single-node.tar.gz");
    let archive = archive.to_str().ok_or("no text")?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    for (arguments, code, told) in [
        (vec!["serve", archive, "--port", &port], 5, "another port"),
        (vec!["serve", archive, "--bind", "0.0.0.0", "--port", "0"], 5, "everybody who reaches"),
        (vec!["serve", archive, "--user", "a"], 5, "no password"),
        (vec!["serve", archive, "--user", "a:b", "--password-file", archive], 5, "colon"),
        (vec!["serve", archive, "--user", "a", "--password-file", "/nosuch"], 7, "/nosuch"),
        (vec!["serve", archive, "--password-file", archive], 2, "--user"),
        (vec!["serve", "/nosuch.tar.gz"], 7, "/nosuch.tar.gz"),
        (vec!["serve"], 2, "ARCHIVE"),
    ] {
        let ended = couchcopy(&arguments)?.unwrapped();
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{arguments:?}: {}", ended.stderr);
    }
    Ok(())
}
