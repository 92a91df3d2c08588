//! Compiling.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::compiler::no_program;
use crate::component::{Kind, encode, kind};
use crate::error::{BuildError, Result};
use crate::project::Project;
use crate::toolchain::{LINKER_VARIABLE, Record, TARGET, Toolchain};

/// Where the compiler's messages go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompilerOutput {
    /// To standard error, as they come.
    #[default]
    Shown,
    /// Into the error, where there is one.
    Kept,
}

/// How to build.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether `Cargo.lock` must be there and may not change.
    pub locked: bool,
    /// Where the compiler's messages go.
    pub compiler_output: CompilerOutput,
}

/// A plugin, built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The package's name.
    pub package: String,
    /// What kind of plugin it is.
    pub kind: Kind,
    /// The component.
    pub component: Vec<u8>,
    /// What it was built with.
    pub record: Record,
}

impl Built {
    /// The plugin's name as its package has it: `systemd` for `couchcopy-service-systemd`.
    pub fn name(&self) -> &str {
        let prefix = format!("couchcopy-{}-", self.kind);
        self.package.strip_prefix(&prefix).unwrap_or(&self.package)
    }
}

/// Builds the plugin in `folder` with the toolchain of this machine that can do it.
pub fn build(folder: &Path, options: Options) -> Result<Built> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(BuildError::NoCrate { folder: folder.to_owned() });
    }
    build_with(&Toolchain::find(folder)?, folder, options)
}

fn build_with(toolchain: &Toolchain, folder: &Path, options: Options) -> Result<Built> {
    let project = Project::read(&toolchain.cargo, folder, options.locked)?;
    let module = compile(toolchain, &project, options)?;
    let module = fs::read(&module).map_err(|source| BuildError::Io { path: module, source })?;
    let component = encode(&project.package, &module, toolchain.record())?;
    let kind = kind(&component)?;
    Ok(Built { package: project.package, kind, component, record: toolchain.record().clone() })
}

/// A line that cargo writes. Most kinds of them do not matter here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Compiles and links; gives the module's path.
fn compile(toolchain: &Toolchain, project: &Project, options: Options) -> Result<PathBuf> {
    let mut command = Command::new(&toolchain.cargo);
    command.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET]);
    command.args(["--profile", project.profile, "--message-format", "json-render-diagnostics"]);
    command.arg("--manifest-path").arg(&project.manifest).current_dir(&project.places.root);
    if options.locked {
        command.arg("--locked");
    }
    toolchain.compiler.applied_to(&mut command, toolchain.record().standard_library);
    if let Some(linker) = &toolchain.linker {
        command.env(LINKER_VARIABLE, linker);
    }
    // Incremental compilation splits code differently.
    command.env("CARGO_INCREMENTAL", "0").env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, project));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(match options.compiler_output {
        CompilerOutput::Shown => Stdio::inherit(),
        CompilerOutput::Kept => Stdio::piped(),
    });

    let child = command.spawn().map_err(|source| no_program(command.get_program(), source))?;
    let output = child.wait_with_output().map_err(|source| no_program(command.get_program(), source))?;
    if !output.status.success() {
        return Err(BuildError::Compile {
            package: project.package.clone(),
            stderr: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        });
    }
    let is_module = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "wasm");
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| message.manifest_path.as_ref() == Some(&project.manifest))
        .flat_map(|message| message.filenames)
        .find(is_module)
        .ok_or_else(|| BuildError::Unreadable {
            program: "cargo rustc",
            problem: "it names no module among what it has built".into(),
        })
}

/// Flags for every crate that goes into the module.
fn flags(toolchain: &Toolchain, project: &Project) -> String {
    let renamed = project.places.renamed(&toolchain.compiler, "/plugin");
    let flags = renamed.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    // The character that cargo parts this variable by.
    flags.collect::<Vec<_>>().join("\x1f")
}
