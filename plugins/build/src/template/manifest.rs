//! Manifests of this workspace's crates, written so that they need no workspace.

use toml::{Table, Value};

use super::TemplateError;

/// This workspace's manifest.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// The tables of dependencies that an author's build needs; those for the crates' own tests are left out.
const DEPENDENCIES: [&str; 2] = ["dependencies", "build-dependencies"];

/// What crates take from this workspace's manifest.
pub(super) struct Workspace {
    package: Table,
    dependencies: Table,
}

impl Workspace {
    pub(super) fn read() -> Result<Self, TemplateError> {
        let manifest = parse("Cargo.toml", WORKSPACE)?;
        let table = |name: &str| {
            manifest
                .get("workspace")
                .and_then(|workspace| workspace.get(name)?.as_table().cloned())
                .ok_or_else(|| TemplateError::Bug(format!("no [workspace.{name}]")))
        };
        Ok(Self { package: table("package")?, dependencies: table("dependencies")? })
    }

    /// A text of `[workspace.package]`.
    pub(super) fn package(&self, key: &str) -> Result<String, TemplateError> {
        let value = self.package.get(key).and_then(Value::as_str);
        value.map(Into::into).ok_or_else(|| TemplateError::Bug(format!("no {key} in [workspace.package]")))
    }

    /// The manifest of the crate in `folder`, with the workspace's values in place of the words that refer to them, and
    /// without what only matters to those who work on couchcopy: lints and the dependencies of tests.
    pub(super) fn detach(&self, folder: &str, manifest: &str) -> Result<String, TemplateError> {
        let mut manifest = parse(folder, manifest)?;
        manifest.remove("lints");
        manifest.remove("dev-dependencies");
        if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
            for (key, value) in package {
                if is_inherited(value) {
                    *value = self
                        .package
                        .get(key)
                        .cloned()
                        .ok_or_else(|| TemplateError::Bug(format!("{folder}: no {key} to inherit")))?;
                }
            }
        }
        self.detach_dependencies(folder, &mut manifest)?;
        if let Some(targets) = manifest.get_mut("target").and_then(Value::as_table_mut) {
            for target in targets.iter_mut().filter_map(|(_, target)| target.as_table_mut()) {
                target.remove("dev-dependencies");
                self.detach_dependencies(folder, target)?;
            }
        }
        toml::to_string(&manifest).map_err(|error| TemplateError::Bug(format!("{folder}: {error}")))
    }

    fn detach_dependencies(&self, folder: &str, manifest: &mut Table) -> Result<(), TemplateError> {
        for kind in DEPENDENCIES {
            let Some(dependencies) = manifest.get_mut(kind).and_then(Value::as_table_mut) else { continue };
            for (name, dependency) in dependencies {
                if !is_inherited(dependency) {
                    continue;
                }
                let common = self
                    .dependencies
                    .get(name)
                    .ok_or_else(|| TemplateError::Bug(format!("{folder}: no {name} to inherit")))?;
                *dependency = joined(folder, common, dependency);
            }
        }
        Ok(())
    }
}

fn parse(name: &str, text: &str) -> Result<Table, TemplateError> {
    text.parse().map_err(|error| TemplateError::Bug(format!("{name}: {error}")))
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// A dependency of the workspace with what the crate in `folder` adds to it.
fn joined(folder: &str, common: &Value, own: &Value) -> Value {
    let mut dependency = match common {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    for (key, value) in own.as_table().into_iter().flatten().filter(|(key, _)| *key != "workspace") {
        match (dependency.get_mut(key), value) {
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more.iter().cloned()),
            _ => {
                dependency.insert(key.clone(), value.clone());
            }
        }
    }
    // From the workspace's folder to the crate's.
    if let Some(Value::String(path)) = dependency.get_mut("path") {
        *path = "../".repeat(folder.split('/').count()) + path;
    }
    Value::Table(dependency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_refers_to_a_workspace() {
        let workspace = Workspace {
            package: parse("", "version = \"1.2.3\"\nauthors = [\"me\"]").expect("a table"),
            dependencies: parse(
                "",
                "plain = \"1.0\"\nnear = { path = \"plugins/near\" }\nrich = { version = \"2\", features = [\"a\"] }",
            )
            .expect("a table"),
        };
        let detached = workspace
            .detach(
                "plugins/it",
                "[package]\nname = \"it\"\nversion.workspace = true\nauthors.workspace = true\n\
                 [lints]\nworkspace = true\n\
                 [dependencies]\nplain.workspace = true\nown = \"3\"\n\
                 rich = { workspace = true, optional = true, features = [\"b\"] }\n\
                 [dev-dependencies]\nabsent.workspace = true\n\
                 [target.'cfg(unix)'.dependencies]\nnear.workspace = true\n",
            )
            .expect("a manifest");
        let expected = "[package]\nname = \"it\"\nversion = \"1.2.3\"\nauthors = [\"me\"]\n\
             [dependencies]\nown = \"3\"\nplain = { version = \"1.0\" }\n\
             rich = { version = \"2\", features = [\"a\", \"b\"], optional = true }\n\
             [target.'cfg(unix)'.dependencies]\nnear = { path = \"../../plugins/near\" }\n";
        assert_eq!(parse("", &detached).expect("a table"), parse("", expected).expect("a table"));
        assert!(workspace.detach("x", "[dependencies]\nabsent.workspace = true").is_err());
        assert!(workspace.detach("x", "[package]\nlicense.workspace = true").is_err());
    }
}
