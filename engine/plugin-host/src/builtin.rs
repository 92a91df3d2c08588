//! The plugins that come with couchcopy: components of `plugins/dist`, built from the sources beside it.

use crate::contract::Kind;

/// A plugin that comes with couchcopy.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
}

macro_rules! built_in {
    ($($kind:ident $name:literal $file:literal,)*) => {
        &[$(BuiltIn {
            kind: Kind::$kind,
            name: $name,
            bytes: include_bytes!(concat!("../../../plugins/dist/", $file, ".wasm")),
        },)*]
    };
}

/// All of them; the default service plugin first.
pub(crate) const ALL: &[BuiltIn] = built_in! {};

/// The one of that kind and name.
pub(crate) fn find(kind: Kind, name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.kind == kind && built_in.name == name)
}

/// Names of those of a kind.
pub(crate) fn names(kind: Kind) -> Vec<&'static str> {
    ALL.iter().filter(|built_in| built_in.kind == kind).map(|built_in| built_in.name).collect()
}
