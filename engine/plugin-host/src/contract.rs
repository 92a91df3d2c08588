//! Which version of the contract a component was made for, and which world; read before anything of it runs.

use std::collections::BTreeSet;

use patterns::Wraps;
use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::LoadFailure;
use crate::kind::Kind;

/// The version of the contract that this host supports. Versions that differ only in the patch number count as equal.
const SPOKEN: &str = "0.1.0";
const PACKAGE: &str = "couchcopy:plugin/";

/// What a component was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contract {
    /// What it is for.
    pub kind: Kind,
    /// Whether it can connect to ports as seen from the node: world `node-access-with-tunnel`.
    pub tunnel: bool,
    /// The contract's version, e.g. `0.1.0`.
    pub version: String,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

impl Contract {
    /// Reads it from the names of imports and exports.
    pub(crate) fn of(component: &Component, engine: &Engine) -> Result<Self, LoadFailure> {
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        Self::from_names(imports, exports)
    }

    fn from_names(imports: Vec<String>, exports: Vec<String>) -> Result<Self, LoadFailure> {
        let ours: Vec<(&str, &str)> = exports.iter().filter_map(|name| interface(name)).collect();
        if ours.is_empty() {
            return Err(LoadFailure::OtherWorld);
        }
        let versions: BTreeSet<&str> = ours
            .iter()
            .copied()
            .chain(imports.iter().filter_map(|name| interface(name)))
            .map(|(_, v)| v)
            .collect();
        if let Some(other) = versions.iter().find(|version| !is_spoken(version)) {
            return Err(LoadFailure::OtherVersion {
                found: printable(other),
                spoken: SPOKEN,
                newer: numbers(other) > numbers(SPOKEN),
            });
        }
        let has = |wanted: &str| ours.iter().any(|(name, _)| *name == wanted);
        let tunnel = has("tunnel");
        let kind = match (has("describe"), has("service"), has("access"), has("documents")) {
            (true, true, false, false) if !tunnel => Kind::Service,
            (true, false, true, false) => Kind::Access,
            (true, false, false, true) if !tunnel => Kind::Filter,
            _ => {
                let found: Vec<String> = ours.iter().map(|(name, _)| printable(name)).collect();
                return Err(LoadFailure::PartOfAWorld { found: found.join(" and ") });
            }
        };
        let allowed: &[&str] = match kind {
            Kind::Service => &["types", "host"],
            Kind::Access | Kind::Filter => &["types"],
        };
        let foreign: Vec<String> = imports
            .iter()
            .filter(|name| !interface(name).is_some_and(|(name, _)| allowed.contains(&name)))
            .map(|name| printable(name))
            .collect();
        if !foreign.is_empty() {
            return Err(LoadFailure::ForeignImports(foreign.join(", ")));
        }
        let version = versions.first().map_or(SPOKEN, |version| *version).to_owned();
        Ok(Self { kind, tunnel, version, imports, exports })
    }
}

impl Contract {
    /// Whether the plugin's patterns have a place for a command to wrap.
    pub(crate) fn wraps(&self) -> Wraps {
        match (self.kind, self.tunnel) {
            (Kind::Service | Kind::Filter, _) => Wraps::Never,
            (Kind::Access, false) => Wraps::Always,
            (Kind::Access, true) => Wraps::Sometimes,
        }
    }
}

/// Parts `couchcopy:plugin/service@0.1.0` into interface and version.
fn interface(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

/// Before 1.0 a contract breaks with its second number, from then on with its first.
fn is_spoken(version: &str) -> bool {
    numbers(version)[..2] == numbers(SPOKEN)[..2] && !version.contains('-')
}

fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

fn printable(name: &str) -> String {
    crate::text::printable(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(imports: &[&str], exports: &[&str]) -> Result<Contract, LoadFailure> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Contract::from_names(owned(imports), owned(exports))
    }

    #[test]
    fn worlds_are_told_by_their_names() {
        let host = "couchcopy:plugin/host@0.1.0";
        let types = "couchcopy:plugin/types@0.1.0";
        let describe = "couchcopy:plugin/describe@0.1.0";
        let service = "couchcopy:plugin/service@0.1.0";
        let access = "couchcopy:plugin/access@0.1.0";
        assert_eq!(of(&[types, host], &[describe, service]).unwrap().kind, Kind::Service);
        assert_eq!(of(&[], &[describe, service, "x:y/z"]).unwrap().kind, Kind::Service, "extra exports");
        assert_eq!(of(&[types], &[describe, access]).unwrap().kind, Kind::Access);
        assert!(matches!(of(&[host], &[describe, access]), Err(LoadFailure::ForeignImports(_))));
        assert!(matches!(of(&[], &["wasi:cli/run@0.2.0"]), Err(LoadFailure::OtherWorld)));
        assert!(matches!(of(&[], &[describe]), Err(LoadFailure::PartOfAWorld { .. })));
        assert!(matches!(of(&[], &[describe, service, access]), Err(LoadFailure::PartOfAWorld { .. })));
        let tunnel = "couchcopy:plugin/tunnel@0.1.0";
        assert!(!of(&[types], &[describe, access]).unwrap().tunnel);
        let with_tunnel = of(&[types], &[describe, access, tunnel]).unwrap();
        assert_eq!((with_tunnel.kind, with_tunnel.tunnel), (Kind::Access, true));
        for part in [&[describe, tunnel][..], &[access, tunnel], &[tunnel], &[describe, service, tunnel]] {
            assert!(matches!(of(&[], part), Err(LoadFailure::PartOfAWorld { .. })), "{part:?}");
        }
        assert!(matches!(of(&[host], &[describe, access, tunnel]), Err(LoadFailure::ForeignImports(_))));
        let documents = "couchcopy:plugin/documents@0.1.0";
        assert_eq!(of(&[types], &[describe, documents]).unwrap().kind, Kind::Filter);
        assert!(matches!(of(&[host], &[describe, documents]), Err(LoadFailure::ForeignImports(_))));
        for more in [&[documents][..], &[describe, documents, service], &[describe, documents, access]] {
            assert!(matches!(of(&[], more), Err(LoadFailure::PartOfAWorld { .. })), "{more:?}");
        }
        let with_tunnel = of(&[], &[describe, documents, tunnel]);
        assert!(matches!(with_tunnel, Err(LoadFailure::PartOfAWorld { .. })));
        assert!(matches!(
            of(&["wasi:filesystem/types@0.2.0"], &[describe, service]),
            Err(LoadFailure::ForeignImports(_))
        ));
    }

    #[test]
    fn another_version_is_told_with_its_direction() {
        let made_for = |version: &str| {
            of(
                &[],
                &[
                    &format!("couchcopy:plugin/describe@{version}"),
                    &format!("couchcopy:plugin/service@{version}"),
                ],
            )
        };
        assert!(made_for("0.1.0").is_ok());
        assert!(made_for("0.1.7").is_ok());
        for (version, is_newer) in
            [("0.2.0", true), ("1.0.0", true), ("0.0.9", false), ("0.1.0-draft", false)]
        {
            match made_for(version) {
                Err(LoadFailure::OtherVersion { found, newer, .. }) => {
                    assert_eq!((found.as_str(), newer), (version, is_newer));
                }
                other => panic!("{version}: {other:?}"),
            }
        }
    }
}
