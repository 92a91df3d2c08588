//! Archives that the commands `age` and `rage` write are read here, and the other way round.
//!
//! A command that is not installed is skipped, which is said on standard error.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use couchfile::read_at::ReadAt;
use encryption::{DecryptedSource, Identities, Recipients, decrypt_stream, is_armored, is_encrypted};
use outcome::Advice;
use tempfile::TempDir;

const SIZES: [usize; 7] = [0, 1, 65_535, 65_536, 65_537, 3 * 65_536, 1024 * 1024 + 17];

const SSH: [&str; 3] = ["ed25519", "rsa", "rsa_pem"];

/// The installed ones of the commands. Says which ones are not, past the test's captured output.
fn installed() -> Vec<&'static str> {
    ["age", "rage"].into_iter().filter(|command| is_installed(command)).collect()
}

fn is_installed(command: &str) -> bool {
    let found = Command::new(command).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        let line = format!("\nSKIPPED: `{command}` is not installed; nothing was compared with it\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found.is_ok()
}

fn plain(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8).collect()
}

fn secret(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Pairs of a public key and the file with its private key.
fn pairs(folder: &Path) -> Vec<(String, PathBuf)> {
    use age::secrecy::ExposeSecret;

    let key = age::x25519::Identity::generate();
    let file = secret(folder, "age.txt", key.to_string().expose_secret());
    let mut pairs = vec![(key.to_public().to_string(), file)];
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    for name in SSH {
        let public = fs::read_to_string(data.join(format!("{name}.pub"))).unwrap().trim().to_owned();
        pairs.push((public, secret(folder, name, &fs::read_to_string(data.join(name)).unwrap())));
    }
    pairs
}

fn write(recipients: &Recipients, path: &Path, plain: &[u8]) {
    let mut writer = recipients.encrypt("archive", fs::File::create(path).unwrap()).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap();
}

/// Reads an archive by ranges and as a stream.
fn assert_reads(path: &Path, identities: &Identities, plain: &[u8], what: &str) {
    let bytes = fs::read(path).unwrap();
    assert!(is_encrypted(&bytes), "{what}");
    let mut streamed = Vec::new();
    let stream = Box::new(std::io::Cursor::new(bytes.clone()));
    decrypt_stream(stream, what, identities).unwrap().read_to_end(&mut streamed).unwrap();
    assert!(streamed == plain, "{what}");
    let source = DecryptedSource::open(Arc::new(bytes), what, identities).unwrap();
    let mut ranged = vec![0; source.len() as usize];
    source.read_exact_at(&mut ranged, 0).unwrap();
    assert!(ranged == plain, "{what}");
}

/// Runs a command that must succeed, and returns its output.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_commands_and_this_crate_read_each_other_with_keys() {
    let folder = TempDir::new().unwrap();
    let (clear, sealed) = (folder.path().join("clear"), folder.path().join("sealed"));
    for command in installed() {
        for (public, private) in pairs(folder.path()) {
            let recipients = Recipients::gather(std::slice::from_ref(&public), &[], None).unwrap();
            let identities = Identities::gather(std::slice::from_ref(&private), None).unwrap();
            for size in SIZES {
                let what = format!("{command}, {public}, {size} bytes");
                write(&recipients, &sealed, &plain(size));
                let opened = run(Command::new(command).args(["-d", "-i"]).arg(&private).arg(&sealed));
                assert!(opened == plain(size), "{what}");

                fs::write(&clear, plain(size)).unwrap();
                run(Command::new(command).args(["-r", &public, "-o"]).arg(&sealed).arg(&clear));
                assert_reads(&sealed, &identities, &plain(size), &what);
            }
        }
    }
}

#[test]
fn the_commands_refuse_what_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let sealed = folder.path().join("sealed");
    for command in installed() {
        let (public, private) = pairs(folder.path()).remove(0);
        let mut writer = Recipients::gather(&[public], &[], None).unwrap().encrypt("a", Vec::new()).unwrap();
        writer.write_all(&plain(200_000)).unwrap();
        let mut bytes = writer.finish().unwrap();
        bytes.truncate(bytes.len() - (200_000 - 3 * 65_536) - 16);
        fs::write(&sealed, bytes).unwrap();
        let output = Command::new(command).args(["-d", "-i"]).arg(&private).arg(&sealed).output().unwrap();
        assert!(!output.status.success(), "{command}");
    }
}

#[test]
fn an_armored_archive_is_read_after_what_the_remedy_says() {
    let folder = TempDir::new().unwrap();
    let (clear, armored) = (folder.path().join("clear"), folder.path().join("armored"));
    fs::write(&clear, plain(100_000)).unwrap();
    for command in installed() {
        let (public, private) = pairs(folder.path()).remove(0);
        let identities = Identities::gather(&[private], None).unwrap();
        run(Command::new(command).args(["-a", "-r", &public, "-o"]).arg(&armored).arg(&clear));
        let bytes = fs::read(&armored).unwrap();
        assert!(is_armored(&bytes) && !is_encrypted(&bytes));
        let error = DecryptedSource::open(Arc::new(bytes), "a", &identities).unwrap_err();
        let remedy = error.remedy().unwrap();
        let line =
            remedy.split('`').nth(1).unwrap().replace("NEW_ARCHIVE", "binary").replace("ARCHIVE", "armored");
        run(Command::new("sh").args(["-c", &line]).current_dir(folder.path()));
        assert_reads(&folder.path().join("binary"), &identities, &plain(100_000), command);
    }
}

/// The commands ask for a passphrase at a terminal. `script` gives them one.
#[test]
fn the_commands_and_this_crate_read_each_other_with_a_passphrase() {
    if !is_installed("script") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (clear, sealed) = (folder.path().join("clear"), folder.path().join("sealed"));
    let pass = secret(folder.path(), "pass", "correct horse\n");
    let recipients = Recipients::gather(&[], &[], Some(&pass)).unwrap();
    let identities = Identities::gather(&[], Some(&pass)).unwrap();
    let at_terminal = |command: String, typed: &str| {
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for line in typed.split_inclusive('\n') {
            // What comes before the command asks can be lost.
            std::thread::sleep(std::time::Duration::from_millis(700));
            input.write_all(line.as_bytes()).unwrap();
        }
        assert!(child.wait().unwrap().success(), "{command}");
    };
    for command in installed() {
        let (clear_name, sealed_name) = (clear.display(), sealed.display());
        write(&recipients, &sealed, &plain(70_000));
        at_terminal(format!("{command} -d -o {clear_name} {sealed_name}"), "correct horse\n");
        assert!(fs::read(&clear).unwrap() == plain(70_000), "{command}");

        at_terminal(format!("{command} -p -o {sealed_name} {clear_name}"), "correct horse\ncorrect horse\n");
        assert_reads(&sealed, &identities, &plain(70_000), command);
    }
}

/// The crate `age` has chunks of its own, unlike this crate, so it is a second reader and writer where no command is installed.
#[test]
fn the_crate_age_and_this_crate_read_each_other() {
    let folder = TempDir::new().unwrap();
    let sealed = folder.path().join("sealed");
    let (public, private) = pairs(folder.path()).remove(0);
    let recipients = Recipients::gather(std::slice::from_ref(&public), &[], None).unwrap();
    let identities = Identities::gather(std::slice::from_ref(&private), None).unwrap();
    let recipient: age::x25519::Recipient = public.parse().unwrap();
    let identity: age::x25519::Identity = fs::read_to_string(&private).unwrap().parse().unwrap();
    for size in SIZES {
        write(&recipients, &sealed, &plain(size));
        assert!(age::decrypt(&identity, &fs::read(&sealed).unwrap()).unwrap() == plain(size), "{size}");

        fs::write(&sealed, age::encrypt(&recipient, &plain(size)).unwrap()).unwrap();
        assert_reads(&sealed, &identities, &plain(size), "age");
    }
}
