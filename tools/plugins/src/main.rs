//! The command `plugins`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use outcome::Advice;
use plugin_build::{Built, Toolchain};
use plugins_task::arguments::Arguments;
use plugins_task::check::{Comparison, compare, strangers, unpaired};
use plugins_task::error::{Result, TaskError};
use plugins_task::sources::{Source, select, sources};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("plugins: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            if let TaskError::Build { source, .. } = &error
                && let Some(remedy) = source.remedy()
            {
                eprintln!("  {remedy}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.can_build {
        return Ok(match Toolchain::find(&arguments.root) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("plugins: {error}");
                ExitCode::FAILURE
            }
        });
    }
    let committed = arguments.root.join("plugins/dist");
    let all = sources(&arguments.root)?;
    let chosen = if arguments.names.is_empty() { all.clone() } else { select(&all, &arguments.names)? };
    if arguments.check {
        check(&chosen, unpaired(&committed, &all)?, &committed, arguments.out.as_deref())
    } else {
        let folder = arguments.out.as_deref().unwrap_or(&committed);
        build_all(&chosen, folder)?;
        // They may be others' files, so that deleting them is not for us.
        let strangers = strangers(folder, &all)?;
        for name in &strangers {
            eprintln!("{name}: there is no crate that it is built of; remove it");
        }
        Ok(if strangers.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn build_all(sources: &[Source], folder: &Path) -> Result<()> {
    for source in sources {
        let built = source.build()?;
        let written = if write(folder, source, &built)? { "written" } else { "unchanged" };
        println!("{}: {} bytes, {written}", source.file_name(), built.component.len());
    }
    Ok(())
}

/// Whether it had to be written: what embeds it need not be built anew otherwise.
fn write(folder: &Path, source: &Source, built: &Built) -> Result<bool> {
    let path = folder.join(source.file_name());
    if fs::read(&path).is_ok_and(|old| old == built.component) {
        return Ok(false);
    }
    fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
    // Beside it and then in its place, so that no build of couchcopy reads half a file.
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| io("write into", folder, error))?;
    std::io::Write::write_all(&mut file, &built.component).map_err(|error| io("write", &path, error))?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(file.path(), permissions).map_err(|error| io("write", &path, error))?;
    file.persist(&path).map_err(|error| io("write", &path, error.error))?;
    Ok(true)
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> TaskError {
    TaskError::Io { doing, path: path.to_owned(), source }
}

fn check(
    sources: &[Source],
    mut problems: Vec<String>,
    committed: &Path,
    out: Option<&Path>,
) -> Result<ExitCode> {
    for source in sources {
        let built = source.build()?;
        if let Some(folder) = out {
            write(folder, source, &built)?;
        }
        let name = source.file_name();
        let Ok(file) = fs::read(committed.join(&name)) else { continue };
        match compare(&file, &built.component, &built.record) {
            Comparison::Equal => println!("{name}: is its source"),
            Comparison::OtherToolchain(record) => println!(
                "{name}: not compared, it was built with another toolchain ({}; {}; standard library {}); here: {}; {}; \
                 standard library {}",
                record.cargo,
                record.rustc,
                record.standard_library,
                built.record.cargo,
                built.record.rustc,
                built.record.standard_library
            ),
            Comparison::Wrong(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    eprintln!("plugins/dist is not what its source says. Build it anew: cargo run -p couchcopy-plugins-task");
    Ok(ExitCode::FAILURE)
}
