//! Plugins with descriptions that couchcopy refuses, and files that are not plugins.

use super::{End, Hostile, LONG, Zoo};
use crate::Result;
use crate::hostile::component;
use crate::hostile::contract::Contract;
use crate::hostile::guest::Guest;
use crate::hostile::image::{List, Pattern, Setting, Text};

pub(super) fn descriptions(zoo: &mut Zoo) -> Result<()> {
    let mut wrong = |name, change: fn(&mut Guest)| zoo.add(name, "status", End::Description, change);
    wrong("name-empty", |g| g.description.name = "".into())?;
    wrong("name-with-capitals", |g| g.description.name = "Evil".into())?;
    wrong("name-with-a-slash", |g| g.description.name = "../evil".into())?;
    wrong("name-with-escapes", |g| g.description.name = "evil\u{1b}[2J".into())?;
    wrong("name-too-long", |g| g.description.name = "e".repeat(LONG).into())?;
    wrong("version-with-escapes", |g| g.description.version = "1.0\u{1b}[2J\n".into())?;
    wrong("version-too-long", |g| g.description.version = "1".repeat(LONG).into())?;
    wrong("summary-with-escapes", |g| g.description.summary = "good\u{1b}[2J\u{9b}31m\r\nGranted.".into())?;
    wrong("summary-too-long", |g| g.description.summary = "s".repeat(LONG).into())?;
    wrong("setting-with-escapes", |g| g.description.settings = vec![Setting::new("a\u{1b}[2J")].into())?;
    wrong("setting-without-a-name", |g| g.description.settings = vec![Setting::new("")].into())?;
    wrong("setting-with-a-name-that-is-taken", |g| {
        g.description.settings = vec![Setting::new("host")].into();
    })?;
    wrong("settings-of-one-name", |g| {
        g.description.settings = vec![Setting::new("word"), Setting::new("word")].into();
    })?;
    wrong("setting-required-with-default", |g| {
        let setting = Setting { required: true, default: Some("x".into()), ..Setting::new("word") };
        g.description.settings = vec![setting].into();
        g.description.commands = vec![Pattern::new(&["true"])].into();
    })?;
    wrong("meaning-with-escapes", |g| {
        g.description.settings = vec![Setting { meaning: "\u{1b}[2J".into(), ..Setting::new("word") }].into();
    })?;
    wrong("many-settings", |g| {
        g.description.settings =
            (0..20_000).map(|i| Setting::new(&format!("word-{i}"))).collect::<Vec<_>>().into();
        g.description.commands = vec![Pattern::new(&["true"])].into();
    })?;
    wrong("many-patterns", |g| {
        g.description.commands = List::Repeated(Box::new(Pattern::new(&["true"])), 20_000);
    })?;
    wrong("many-words", |g| {
        let words = List::Repeated(Box::new("true".into()), 20_000);
        g.description.commands = vec![Pattern { words, purpose: "none".into() }].into();
    })?;
    wrong("pattern-without-words", |g| g.description.commands = vec![Pattern::new(&[])].into())?;
    wrong("pattern-of-any-program", |g| g.description.commands = vec![Pattern::new(&["*", "x"])].into())?;
    wrong("pattern-of-an-unknown-setting", |g| {
        g.description.commands = vec![Pattern::new(&["true", "{other}"])].into();
    })?;
    wrong("pattern-left-open", |g| g.description.commands = vec![Pattern::new(&["true", "{word"])].into())?;
    wrong("pattern-with-a-command", |g| {
        g.description.commands = vec![Pattern::new(&["env", "{command...}"])].into();
    })?;
    wrong("pattern-with-escapes", |g| {
        g.description.commands = vec![Pattern::new(&["true", "x\u{1b}[2K\r"])].into();
    })?;
    // Shown as it is, it would read from right to left, or take no place at all.
    wrong("pattern-with-invisible-characters", |g| {
        g.description.commands = vec![Pattern::new(&["true", "\u{202e}\u{200b}\u{feff}"])].into();
    })?;
    wrong("purpose-with-escapes", |g| {
        let pattern = Pattern { purpose: "\u{1b}[1A\u{1b}[2K".into(), ..Pattern::new(&["true"]) };
        g.description.commands = vec![pattern].into();
    })?;
    let mut nonsense = |name, change: fn(&mut Guest)| zoo.add(name, "status", End::Nonsense, change);
    nonsense("name-not-utf-8", |g| g.description.name = Text::Bytes(b"ev\xffil".to_vec()))?;
    nonsense("name-outside-of-memory", |g| {
        g.description.name = Text::At { pointer: u32::MAX - 63, length: 5 };
    })?;
    nonsense("summary-of-absurd-length", |g| {
        g.description.summary = Text::At { pointer: 1024, length: 0x7fff_fff0 };
    })?;
    nonsense("settings-of-absurd-length", |g| {
        g.description.settings = List::At { pointer: 1024, length: 0x0fff_ffff };
    })?;
    nonsense("patterns-outside-of-memory", |g| {
        g.description.commands = List::At { pointer: u32::MAX - 63, length: 2 };
    })
}

pub(super) fn other_worlds(zoo: &mut Zoo) -> Result<()> {
    let guest = Guest::service("evil");
    let mut add = |name, end, component| zoo.all.push(Hostile { name, component, function: "status", end });
    add("newer-contract", End::Version, guest.clone().in_version("0.2.0").build()?);
    add("much-newer-contract", End::Version, guest.clone().in_version("1.0.0").build()?);
    add("patched-contract", End::Well, guest.clone().in_version("0.1.1").build()?);
    let other = Contract { wit: "package a:b; world w { export f: func(); }".into(), world: "w".into() };
    add(
        "another-world",
        End::NoPlugin,
        component(r#"(module (func (export "f")) (memory (export "memory") 1))"#, &other)?,
    );
    let nothing = Contract { wit: "package a:b; world w { }".into(), world: "w".into() };
    add("empty-world", End::NoPlugin, component("(module)", &nothing)?);
    let only_describe =
        Contract::ours("service-control")?.with_world("only-describe", "import host; export describe;");
    add("describes-and-does-nothing", End::NoPlugin, without_service(&guest, &only_describe)?);
    let more = Contract::ours("service-control")?
        .with_package(
            "package wasi:cli@0.2.0 { interface environment { get-arguments: func() -> list<string>; } }\n",
        )
        .with_world("more", "include service-control; import wasi:cli/environment@0.2.0;");
    let import = r#"(import "wasi:cli/environment@0.2.0" "get-arguments" (func (param i32)))"#;
    add("imports-something-else", End::NoPlugin, guest.build_for(&more, import)?);
    add("core-module", End::NoPlugin, wat::parse_str(guest.module(""))?);
    add("empty-core-module", End::NoPlugin, b"\0asm\x01\0\0\0".to_vec());
    add("empty-component", End::NoPlugin, b"\0asm\x0d\0\x01\0".to_vec());
    add("component-in-text", End::NoPlugin, b"(component)".to_vec());
    add("empty-file", End::NoPlugin, Vec::new());
    add("no-wasm", End::NoPlugin, b"#!/bin/sh\nexit 0\n".to_vec());
    add("zeros", End::NoPlugin, vec![0; 100_000]);
    add("elf", End::NoPlugin, std::fs::read("/bin/true")?);
    Ok(())
}

/// A guest's module without the exports of `service`.
fn without_service(guest: &Guest, contract: &Contract) -> Result<Vec<u8>> {
    let module = ["start", "stop", "status"].iter().fold(guest.module(""), |module, name| {
        module.replace(&format!(r#"(export "couchcopy:plugin/service@0.1.0#{name}")"#), "")
    });
    component(&module, contract)
}
