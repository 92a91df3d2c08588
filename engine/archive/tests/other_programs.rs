//! Other programs unpack what is written here, without a warning and to the same content.
#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Contents, MTIME, sample, write};

/// Runs a program; `None` where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{program}: {error}"),
    }
}

fn files_below(folder: &Path, prefix: &str, contents: &mut Contents) {
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = format!("{prefix}{}", file.file_name().to_str().unwrap());
        if file.file_type().unwrap().is_dir() {
            files_below(&file.path(), &format!("{name}/"), contents);
        } else {
            let age = file.metadata().unwrap().modified().unwrap().elapsed();
            assert!(age.is_err() || age.is_ok_and(|age| age.as_secs() > 0), "{name}: time is not kept");
            contents.insert(name, std::fs::read(file.path()).unwrap());
        }
    }
}

/// Unpacks with a command that gets the archive and the folder as its last arguments.
fn unpacks(program: &str, arguments: &[&str], probe: Option<&str>) {
    if probe.is_some_and(|probe| run(probe, &["--version"]).is_none()) {
        return;
    }
    // Long enough for names that one file system takes, short enough for its limit of 255 bytes a component.
    let entries = sample(4096);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar.gz");
    std::fs::write(&archive, write(&entries, 2, 1, 4096)).unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let paths = [archive.to_str().unwrap(), out.to_str().unwrap()];
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.replace("ARCHIVE", paths[0]).replace("OUT", paths[1]))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(output) = run(program, &arguments) else {
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{program}: {told}");
    let mut contents = Contents::new();
    files_below(&out, "", &mut contents);
    // Our own two entries come out, too, and are what the format says.
    let manifest = contents.remove(archive::MANIFEST).unwrap();
    assert_eq!(manifest.split_inclusive(|byte| *byte == b'\n').count(), entries.len());
    let toc: serde_json::Value = serde_json::from_slice(&contents.remove(archive::TOC).unwrap()).unwrap();
    assert_eq!(toc["entries"], entries.len());
    assert!(contents == entries, "{program} unpacks other content");
}

#[test]
fn gnu_tar() {
    unpacks("tar", &["-xzf", "ARCHIVE", "-C", "OUT", "--no-same-owner"], None);
}

#[test]
fn gnu_tar_with_pigz() {
    unpacks("tar", &["-I", "pigz", "-xf", "ARCHIVE", "-C", "OUT", "--no-same-owner"], Some("pigz"));
}

#[test]
fn python_tarfile() {
    let script = "import sys, tarfile, warnings; warnings.simplefilter('error'); \
                  t = tarfile.open(sys.argv[1]); \
                  k = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}; \
                  t.extractall(sys.argv[2], **k)";
    unpacks("python3", &["-c", script, "ARCHIVE", "OUT"], None);
}

#[test]
fn bsdtar() {
    unpacks("bsdtar", &["-xzf", "ARCHIVE", "-C", "OUT"], None);
}

#[test]
fn gzip_finds_every_member_whole() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar.gz");
    std::fs::write(&archive, write(&sample(4096), 2, 1, 4096)).unwrap();
    let output = run("gzip", &["-t", archive.to_str().unwrap()]).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn owner_mode_and_time_are_ours() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar.gz");
    let mut entries = sample(4096);
    // Nobody else shall read passwords where somebody unpacks an archive.
    entries.insert("config,n@h,etc,local.ini".to_owned(), b"[admins]\nroot = relax\n".to_vec());
    std::fs::write(&archive, write(&entries, 2, 1, 4096)).unwrap();
    let arguments = ["--utc", "--full-time", "--numeric-owner", "-tvzf", archive.to_str().unwrap()];
    let listed = String::from_utf8(run("tar", &arguments).unwrap().stdout).unwrap();
    assert_eq!(MTIME, 1_795_355_234);
    for line in listed.lines() {
        let mode = if line.contains(" config,") { "-rw------- 0/0 " } else { "-rw-r--r-- 0/0 " };
        assert!(line.starts_with(mode) && line.contains(" 2026-11-22 13:47:14 "), "{line}");
    }
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(names[0], "metadata.yaml");
    assert_eq!(names[names.len() - 2..], ["couchcopy-manifest.jsonl", "couchcopy-toc.json"]);
}
