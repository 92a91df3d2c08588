//! Components: how one is made of a module, and what one says of itself.

use std::borrow::Cow;
use std::fmt;

use wasm_encoder::{ComponentSection, CustomSection, Encode};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::error::{BuildError, Result};
use crate::toolchain::Record;

/// The custom section that holds the [`Record`].
const RECORD_SECTION: &str = "couchcopy:build";

/// The contract's package.
const CONTRACT: &str = "couchcopy:plugin/";

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It starts and stops CouchDB.
    Service,
    /// It says how a command reaches a node.
    Access,
    /// It decides what becomes of documents in a restore.
    Filter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Service, Self::Access, Self::Filter];
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Service => "service",
            Self::Access => "access",
            Self::Filter => "filter",
        })
    }
}

/// The names of what a component imports and exports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

/// Makes a component of a compiled module.
pub(crate) fn encode(package: &str, module: &[u8], record: &Record) -> Result<Vec<u8>> {
    let mut component = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| BuildError::Encode { package: package.into(), problem: format!("{error:#}") })?;
    let text = record.to_string();
    let section = CustomSection { name: RECORD_SECTION.into(), data: Cow::Borrowed(text.as_bytes()) };
    component.push(ComponentSection::id(&section));
    section.encode(&mut component);
    Ok(component)
}

/// What a component was built with, as it says itself; none where it does not say.
pub fn recorded(component: &[u8]) -> Result<Option<Record>> {
    let mut record = None;
    top_level(component, |payload| {
        if let Payload::CustomSection(section) = payload
            && section.name() == RECORD_SECTION
        {
            record = std::str::from_utf8(section.data()).ok().and_then(Record::parse);
        }
        Ok(())
    })?;
    Ok(record)
}

/// What a component imports and exports.
pub fn interfaces(component: &[u8]) -> Result<Interfaces> {
    let mut interfaces = Interfaces::default();
    top_level(component, |payload| {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    interfaces.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    interfaces.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(interfaces)
}

/// What kind of plugin a component is. An error where it is none, or imports what no plugin may.
pub fn kind(component: &[u8]) -> Result<Kind> {
    let interfaces = interfaces(component)?;
    let exports = |name: &str| interfaces.exports.iter().any(|export| is_contract(export, name));
    let refuse = |problem: String| Err(BuildError::NotAPlugin { problem });
    if !exports("describe") {
        return refuse(format!("it does not export {CONTRACT}describe"));
    }
    let kinds = [(Kind::Service, "service"), (Kind::Access, "access"), (Kind::Filter, "documents")];
    let found: Vec<(Kind, &str)> = kinds.into_iter().filter(|(_, interface)| exports(interface)).collect();
    let kind = match found[..] {
        [(kind, _)] => kind,
        [] => {
            return refuse(format!(
                "it exports neither {CONTRACT}service nor {CONTRACT}access nor {CONTRACT}documents"
            ));
        }
        [(_, one), (_, other), ..] => return refuse(format!("it exports both {one} and {other}")),
    };
    if exports("tunnel") && kind != Kind::Access {
        return refuse(format!("it exports {CONTRACT}tunnel, which goes with {CONTRACT}access only"));
    }
    // `types` has no functions: importing it asks for nothing.
    let may_import =
        |import: &str| is_contract(import, "types") || (kind == Kind::Service && is_contract(import, "host"));
    if let Some(import) = interfaces.imports.iter().find(|import| !may_import(import)) {
        return refuse(format!(
            "it imports {import}, which couchcopy does not give to a plugin of kind {kind}"
        ));
    }
    Ok(kind)
}

/// Whether `name` is that interface of the contract, of whichever version.
fn is_contract(name: &str, interface: &str) -> bool {
    name.strip_prefix(CONTRACT)
        .and_then(|rest| rest.strip_prefix(interface))
        .is_some_and(|version| version.starts_with('@'))
}

/// Calls `visit` with every part of the component that is not inside of another component or module.
fn top_level(component: &[u8], mut visit: impl FnMut(&Payload<'_>) -> wasmparser::Result<()>) -> Result<()> {
    let broken = |problem: String| BuildError::NotAComponent { problem };
    if !Parser::is_component(component) {
        return Err(broken("it does not begin like one".into()));
    }
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| broken(error.to_string()))?;
        if depth == 0 {
            visit(&payload).map_err(|error| broken(error.to_string()))?;
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        Component, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentTypeRef,
        ComponentTypeSection, InstanceType,
    };

    const VERSION: &str = "@0.1.0";

    /// A component of empty interfaces.
    fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
        let mut component = Component::new();
        let mut types = ComponentTypeSection::new();
        types.instance(&InstanceType::new());
        component.section(&types);
        let mut section = ComponentImportSection::new();
        // The instance to export again; its name is allowed for every kind.
        let own = format!("{CONTRACT}types{VERSION}");
        for name in std::iter::once(own.as_str()).chain(imports.iter().copied()) {
            section.import(name, ComponentTypeRef::Instance(0));
        }
        component.section(&section);
        let mut section = ComponentExportSection::new();
        for name in exports {
            let name = format!("{CONTRACT}{name}{VERSION}");
            section.export(name.as_str(), ComponentExportKind::Instance, 0, None);
        }
        component.section(&section);
        component.finish()
    }

    fn problem(component: &[u8]) -> String {
        kind(component).expect_err("no plugin").to_string()
    }

    #[test]
    fn kinds_are_told_by_what_is_exported() {
        let host = "couchcopy:plugin/host@0.1.0";
        assert_eq!(kind(&component(&[], &["describe", "service"])).expect("a plugin"), Kind::Service);
        assert_eq!(kind(&component(&[host], &["describe", "service"])).expect("a plugin"), Kind::Service);
        assert_eq!(kind(&component(&[], &["describe", "access"])).expect("a plugin"), Kind::Access);
        let with_tunnel = component(&[], &["describe", "access", "tunnel"]);
        assert_eq!(kind(&with_tunnel).expect("a plugin"), Kind::Access);
        assert_eq!(kind(&component(&[], &["describe", "documents"])).expect("a plugin"), Kind::Filter);
        assert!(problem(&component(&[host], &["describe", "documents"])).contains(host));
        assert!(problem(&component(&[], &["describe", "documents", "access"])).contains("both"));
        assert!(problem(&component(&[], &["describe", "service", "tunnel"])).contains("tunnel"));
        assert!(problem(&component(&[], &["describe", "tunnel"])).contains("neither"));
        assert!(problem(&component(&[host], &["describe", "access"])).contains(host));
        assert!(problem(&component(&[], &["describe"])).contains("neither"));
        assert!(problem(&component(&[], &["service"])).contains("describe"));
        assert!(problem(&component(&[], &["describe", "access", "service"])).contains("both"));
        let foreign = component(&["wasi:cli/environment@0.2.0"], &["describe", "service"]);
        assert!(problem(&foreign).contains("wasi:cli/environment@0.2.0"));
    }

    #[test]
    fn what_is_no_component_is_an_error() {
        let whole = component(&[], &["describe", "service"]);
        for length in 0..whole.len() {
            assert!(kind(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(kind(&wasm_encoder::Module::new().finish()).is_err());
        assert!(kind(b"hello").is_err());
        assert_eq!(recorded(&whole).expect("a component"), None);
    }
}
