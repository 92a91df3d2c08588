//! The codes of errors: each one is in the sources and in `docs/messages.md`, and stands for one problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use couchcopy_tests::Result;

/// Codes that places with different texts share, as they report the same problem.
const SHARED: [&str; 1] = ["CC-C01"];

/// How a code is written in the sources.
const CONSTRUCTOR: &str = "Code::new(";

/// Where the type itself is: its documentation shows no codes.
const DEFINITION: &str = "engine/outcome/src/code.rs";

fn workspace() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?.to_owned())
}

/// The Rust sources of the product below a directory, without tests.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "tests" | "target") {
                sources(&path, found)?;
            }
        } else if name != "tests.rs" && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The string literal that a text begins with, without quotes, and what follows it.
fn literal(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let mut joined = String::new();
    for (i, line) in text[..end].split("\\\n").enumerate() {
        joined.push_str(if i == 0 { line } else { line.trim_start() });
    }
    Some((joined, &text[end + 1..]))
}

/// A text without the names of its placeholders: `{db}` and `{}` are the same.
fn nameless(text: &str) -> String {
    let mut nameless = String::new();
    for (i, part) in text.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, rest)) if i > 0 => nameless.extend(["{}", rest]),
            _ => nameless.push_str(part),
        }
    }
    nameless
}

/// What the error with this code says: the text that is given together with the code, else the place where it is matched.
fn problem(before: &str, after: &str, place: &str) -> String {
    let beside_it =
        ["Failure::refused(", "Failure::incomplete("].iter().any(|call| before.trim_end().ends_with(call));
    let argument = after.trim_start().trim_start_matches([')', ',']).trim_start();
    let argument = argument.strip_prefix("format!(").map_or(argument, str::trim_start);
    match literal(argument) {
        Some((text, _)) if beside_it => nameless(&text),
        _ => place.to_owned(),
    }
}

fn is_code(text: &str) -> bool {
    text.strip_prefix("CC-").is_some_and(|code| {
        let (area, number) = code.split_at(code.len().min(1));
        area.bytes().all(|b| b.is_ascii_uppercase())
            && number.len() == 2
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// All codes in the sources, each with the problems that it is used for.
fn codes() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let root = workspace()?;
    let mut files = Vec::new();
    for directory in ["engine", "plugins/build"] {
        sources(&root.join(directory), &mut files)?;
    }
    let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(&root)?.display().to_string();
        if name == DEFINITION {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (at, _) in product.match_indices(CONSTRUCTOR) {
            let line = product[..at].lines().count();
            let place = format!("{name}:{line}");
            let (code, after) = literal(product[at + CONSTRUCTOR.len()..].trim_start())
                .filter(|(code, _)| is_code(code))
                .ok_or_else(|| format!("{place}: a code is a literal like \"CC-R12\""))?;
            codes.entry(code).or_default().insert(problem(&product[..at], after, &place));
        }
    }
    Ok(codes)
}

/// The entries of `docs/messages.md` in their order: code, and the letter of the area that it stands below.
fn entries() -> Result<Vec<(String, String)>> {
    let mut area = String::new();
    let mut entries = Vec::new();
    for line in fs::read_to_string(workspace()?.join("docs/messages.md"))?.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.split(' ').next().unwrap_or_default().clone_into(&mut area);
        }
        if line.starts_with("| CC-") {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            if cells.len() != 4 || cells.iter().any(|cell| cell.is_empty()) {
                return Err(format!("not code, cause, remedy and exit code: {line}").into());
            }
            entries.push((cells[0].to_owned(), area.clone()));
        }
    }
    Ok(entries)
}

#[test]
fn every_code_has_one_entry_and_every_entry_a_code() -> Result<()> {
    let listed: Vec<String> = entries()?.into_iter().map(|(code, _)| code).collect();
    let used: Vec<String> = codes()?.into_keys().collect();
    let missing: Vec<&String> = used.iter().filter(|code| !listed.contains(code)).collect();
    assert!(missing.is_empty(), "docs/messages.md has no entry for {missing:?}");
    let unused: Vec<&String> = listed.iter().filter(|code| !used.contains(code)).collect();
    assert!(unused.is_empty(), "no place in the sources uses {unused:?}");
    // Sorted, and each once.
    assert_eq!(listed, used);
    Ok(())
}

#[test]
fn entries_stand_below_their_area() -> Result<()> {
    for (code, area) in entries()? {
        assert_eq!(code.get(3..4), Some(area.as_str()), "{code}");
    }
    Ok(())
}

#[test]
fn a_code_stands_for_one_problem() -> Result<()> {
    for (code, problems) in codes()? {
        assert_eq!(problems.len() > 1, SHARED.contains(&code.as_str()), "{code}: {problems:#?}");
    }
    Ok(())
}
