//! A CouchDB that is asked over TLS.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{PASSWORD, Size, USER, binary, join, run, skipped};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::managers::find_program;
use serde_json::Value;

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    run(Command::new("openssl").args(arguments).current_dir(folder))?.success()?;
    Ok(())
}

/// A certificate authority (`ca.pem`), and a certificate that it has signed for these names (`NAME.pem`, `NAME.key`).
fn signed(folder: &Path, name: &str, names: &str) -> Result<()> {
    let day = ["-days", "2"];
    if !folder.join("ca.pem").exists() {
        let subject = ["-subj", "/CN=An authority of our own"];
        let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(folder, &[&new[..], &day, &subject].concat())?;
    }
    let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
    let new =
        ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request, "-subj", "/CN=couchdb"];
    openssl(folder, &new)?;
    fs::write(folder.join("names"), format!("subjectAltName={names}\n"))?;
    let (certificate, from) =
        (format!("{name}.pem"), ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]);
    let sign = ["x509", "-req", "-in", &request, "-extfile", "names", "-out", &certificate];
    openssl(folder, &[&sign[..], &from, &day].concat())
}

/// A certificate that has signed itself, as people make them: without names, and with a say as an authority.
fn self_signed(folder: &Path) -> Result<()> {
    let new = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-days",
        "2",
    ];
    openssl(folder, &[&new[..], &["-subj", "/CN=couchdb"]].concat())
}

/// What `check` finds about a node's HTTP interface: verdict, what was found, remedy.
fn http(site: &Site, url: &str, more: &[&str]) -> Result<(String, String, String)> {
    let node = format!(
        "{}{USER}@{}/,{}",
        &url[..url.find("//").unwrap_or(0) + 2],
        &url[url.find("//").unwrap_or(0) + 2..],
        site.nodes[0].data.display()
    );
    let mut command = Command::new(binary()?);
    let ended = run(command.args(["check", "--json", &node]).args(more).env("COUCHCOPY_PASSWORD", PASSWORD))?;
    let told: Value = serde_json::from_str(&ended.stdout).map_err(|e| format!("{e}: {ended:#?}"))?;
    let proof = told["proofs"].as_array().into_iter().flatten().find(|proof| proof["subject"] == "http");
    let proof = proof.ok_or_else(|| format!("{ended:#?}"))?;
    let text = |key: &str| proof[key].as_str().unwrap_or_default().to_owned();
    Ok((text("verdict"), text("found"), text("remedy")))
}

#[test]
fn certificates_that_are_not_trusted_are_told_and_can_be_given() -> Result<()> {
    if find_program("openssl", "openssl").is_none() {
        skipped("it takes openssl to make certificates");
        return Ok(());
    }
    let plan = Plan { size: Size { nodes: 1, q: 1, n: 1 }, reach: Reach::Here };
    let Some(site) = Site::prepare(plan)? else { return Ok(()) };
    let node = &site.nodes[0];
    let plain = node.url();
    let ip: Ipv4Addr = plain.trim_start_matches("http://").split(':').next().unwrap_or_default().parse()?;
    let folder: PathBuf = node.data.parent().ok_or("no folder")?.to_owned();
    signed(&folder, "right", &format!("IP:{ip}"))?;
    signed(&folder, "other", "DNS:elsewhere.example")?;
    self_signed(&folder)?;
    let ini = folder.join("etc/local.d/tls.ini");
    let url = format!("https://{ip}:6984");
    let path = |name: &str| folder.join(name).display().to_string();
    let (ca, own) = (path("ca.pem"), path("own.pem"));

    for (served, cases) in [
        (
            "right",
            vec![
                (None, "problem", "does not trust its certificate", "--ca"),
                (Some(&ca), "fine", "answers at https://", ""),
            ],
        ),
        ("other", vec![(Some(&ca), "problem", "but for", "--url")]),
        (
            "own",
            vec![
                (None, "problem", "does not trust its certificate", "--ca"),
                (Some(&ca), "problem", "does not trust its certificate", "--ca"),
                (Some(&own), "fine", "answers at https://", ""),
            ],
        ),
    ] {
        let (certificate, key) = (path(&format!("{served}.pem")), path(&format!("{served}.key")));
        fs::write(
            &ini,
            format!(
                "[ssl]\nenable = true\nip = {ip}\nport = 6984\ncert_file = {certificate}\nkey_file = {key}\n[httpd]\nbind_address = {ip}\n"
            ),
        )?;
        site.start_nodes()?;
        join(&site.nodes)?;
        for (given, verdict, found, remedy) in cases {
            let more: Vec<&str> = given.iter().flat_map(|file| ["--ca", file.as_str()]).collect();
            let told = http(&site, &url, &more)?;
            assert_eq!(told.0, verdict, "{served} {given:?}: {told:?}");
            assert!(told.1.contains(found) && told.2.contains(remedy), "{served} {given:?}: {told:?}");
        }
        if served == "right" {
            let told = http(&site, &plain.replace("http://", "https://"), &[])?;
            assert!(told.1.contains("speaks plain HTTP, not TLS") && told.2.contains(&plain), "{told:?}");
            let told = http(&site, &url.replace("https://", "http://"), &[])?;
            assert!(told.1.contains("speaks TLS, not plain HTTP") && told.2.contains(&url), "{told:?}");
        }
        site.control(0, "stop")?.success()?;
    }
    Ok(())
}
