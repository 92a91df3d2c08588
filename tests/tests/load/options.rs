//! What a load can be told, and what it keeps to itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{
    Http, Installation, Load, LoadTold, command_line, couchcopy, group, listening, wait_for,
};
use rustix::process::Signal;
use serde_json::json;

use super::archives::{LAB_ADMIN, private_folders, single_node};

fn log_in(told: &LoadTold, user: &str, password: &str) -> Result<u16> {
    let http = Http::anonymous(told.address);
    Ok(http.ask("POST", "/_session", Some(&json!({"name": user, "password": password})))?.status)
}

#[test]
fn a_random_password_that_nobody_else_learns() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut load = Load::start(&couchdb, dir.path(), &single_node(dir.path())?, &[])?;
    let told = load.wait_until_up()?;
    let text = |key: &str| told.json[key].as_str().unwrap_or_default();
    let (user, password) = (text("user"), text("password"));
    assert_eq!(password.len(), 32, "{told:?}");
    assert!(!text("url").contains(password));
    assert_eq!(log_in(&told, user, password)?, 200);
    assert_eq!(log_in(&told, user, "password")?, 401);
    assert_eq!(Http::anonymous(told.address).ask("GET", "/_all_dbs", None)?.status, 401);
    for pid in group(told.pid)? {
        assert!(!command_line(pid).contains(password), "{}", command_line(pid));
    }
    // Not even its hash is for others, nor the data.
    let mode = |path: &Path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o7777) };
    assert_eq!(mode(&told.folder)?, 0o700);
    assert_eq!(mode(&told.folder.join("load.ini"))?, 0o600);
    let ini = fs::read_to_string(told.folder.join("load.ini"))?;
    assert!(ini.contains("[admins]") && !ini.contains(password), "CouchDB replaces it by a hash");
    Ok(())
}

/// One port, of this machine's own interface: none for other Erlang nodes.
#[test]
fn one_port() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut load = Load::start(&couchdb, dir.path(), &single_node(dir.path())?, &[])?;
    let told = load.wait_until_up()?;
    // 127.0.0.1, in the order of this machine's bytes.
    let address = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    assert_eq!(listening(told.pid)?, [format!("{address:08X}:{:04X}", told.address.port())]);
    Ok(())
}

#[test]
fn admin_and_port() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    let (admin, port_text) = ("anna:a b;c=d:ü[e]", port.to_string());
    let arguments = ["--admin", admin, "--port", &port_text];
    let mut refused = Load::start(&couchdb, dir.path(), &archive, &arguments)?;
    let ended = refused.wait()?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stdout.contains(&port_text), "{ended:?}");
    assert_eq!(private_folders(dir.path())?, [""; 0]);

    drop(taken);
    let mut load = Load::start(&couchdb, dir.path(), &archive, &arguments)?;
    let told = load.wait_until_up()?;
    assert_eq!(told.address.port(), port);
    assert_eq!(told.json["user"], "anna");
    assert_eq!(log_in(&told, "anna", "a b;c=d:ü[e]")?, 200);
    assert_eq!(log_in(&told, "anna", "other")?, 401);
    Ok(())
}

/// The text for people has the password only where they do not know it, and -q has none.
#[test]
fn what_people_are_told() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let told = |more: &[&str], waited_for: &dyn Fn(&Load) -> Result<bool>| -> Result<String> {
        let mut load = Load::start_plain(&couchdb, dir.path(), &archive, more)?;
        wait_for("CouchDB to be told", || Ok(waited_for(&load)?.then_some(())))?;
        load.signal(Signal::TERM)?;
        let ended = load.wait()?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Ok(ended.stdout)
    };
    let printed = |load: &Load| Ok(load.told().contains("Press Ctrl-C to stop"));
    let text = told(&[], &printed)?;
    let (user, rest) = text.split_once('@').ok_or("no user")?;
    let password = user.strip_prefix("http://admin:").ok_or("no password")?;
    assert!(password.len() == 32 && rest.starts_with("127.0.0.1:"), "{text}");
    assert!(text.contains("16 databases in CouchDB 3."), "{text}");
    let text = told(&["--admin", "anna:secret-word", "--keep"], &printed)?;
    assert!(text.starts_with("http://anna@127.0.0.1:") && !text.contains("secret-word"), "{text}");
    assert!(text.contains("which is kept"), "{text}");

    // With -q nobody is told. The first one was kept, and has ended: it does not answer.
    let answers = || -> Result<bool> {
        for name in private_folders(dir.path())? {
            let uri = fs::read_to_string(dir.path().join(name).join("couch.uri")).unwrap_or_default();
            let address =
                uri.trim().trim_start_matches("http://").trim_end_matches('/').parse::<SocketAddr>();
            if let Ok(address) = address
                && Http::anonymous(address).ask("GET", "/_up", None).is_ok_and(|answer| answer.is_success())
            {
                return Ok(true);
            }
        }
        Ok(false)
    };
    // Whoever asks sees that CouchDB answers before couchcopy does, which then ends early.
    let mut load = Load::start_plain(&couchdb, dir.path(), &archive, &["-q"])?;
    wait_for("CouchDB to answer", || Ok(answers()?.then_some(())))?;
    load.signal(Signal::TERM)?;
    assert_eq!(load.wait()?.stdout, "");
    Ok(())
}

#[test]
fn cors() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    for (more, expected) in [(&[][..], false), (&["--cors"][..], true)] {
        let mut load = Load::start(&couchdb, dir.path(), &archive, more)?;
        let told = load.wait_until_up()?;
        let mut connection = TcpStream::connect(told.address)?;
        connection.write_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example.com\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let allowed = answer.to_lowercase().contains("access-control-allow-origin: https://app.example.com");
        assert_eq!(allowed, expected, "{answer}");
    }
    Ok(())
}

#[test]
fn keep() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let mut load = Load::start(&couchdb, dir.path(), &archive, &[&LAB_ADMIN[..], &["--keep"]].concat())?;
    let told = load.wait_until_up()?;
    told.http().put("/new", &json!(null))?;
    load.signal(Signal::TERM)?;
    assert_eq!(load.wait()?.code, Some(0));
    for file in ["data/_dbs.couch", "load.ini", "couchdb.log"] {
        assert!(told.folder.join(file).exists(), "{file}");
    }
    // The next one leaves it alone, and has nothing of it.
    let mut next = Load::start(&couchdb, dir.path(), &archive, &LAB_ADMIN)?;
    let told_next = next.wait_until_up()?;
    assert_eq!(told_next.http().ask("GET", "/new", None)?.status, 404);
    assert!(told.folder.join("data/_dbs.couch").exists());
    Ok(())
}

/// What is refused leaves nothing; where no CouchDB is installed, there is another way.
#[test]
fn refusals() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let within = dir.path().display().to_string();
    let load = |more: &[&str], archive: &Path| {
        let archive = archive.display().to_string();
        couchcopy(&[&["load", "--tmp-dir", &within], more, &[archive.as_str()]].concat())
    };
    let ended = load(&["--couchdb", &within], &archive)?.unwrapped();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("couchcopy serve"), "{ended:?}");
    if Installation::find().is_some() {
        for admin in ["a b:c", ":c", "a:", "a:-pbkdf2-00,00,10", "a: c"] {
            let ended = load(&["--admin", admin], &archive)?;
            assert_eq!(ended.code, Some(5), "{admin}: {ended:?}");
        }
        let nonsense = dir.path().join("nonsense");
        fs::write(&nonsense, "no archive")?;
        assert_eq!(load(&[], &nonsense)?.code, Some(4));
        assert_eq!(load(&[], &dir.path().join("none"))?.code, Some(7));
        let missing = dir.path().join("missing").display().to_string();
        assert_eq!(
            couchcopy(&["load", "--tmp-dir", &missing, &archive.display().to_string()])?.code,
            Some(7)
        );
    }
    assert_eq!(load(&["--port", "0"], &archive)?.code, Some(2));
    assert_eq!(private_folders(dir.path())?, [""; 0]);
    Ok(())
}
