//! The plugins that come with couchcopy: components of `plugins/dist`, built from the sources next to it.

use crate::kind::Kind;

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
pub(crate) const ALL: &[BuiltIn] = built_in! {
    Service "systemd" "service-systemd",
    Service "sysv" "service-sysv",
    Service "openrc" "service-openrc",
    Service "runit" "service-runit",
    Service "s6" "service-s6",
    Service "supervisor" "service-supervisor",
    Service "docker" "service-docker",
    Service "kubernetes" "service-kubernetes",
    Service "command" "service-command",
    Access "ssh" "access-ssh",
    Access "sudo" "access-sudo",
    Access "docker" "access-docker",
    Access "kubernetes" "access-kubernetes",
    Filter "anonymise" "filter-anonymise",
};

/// The one of that kind and name.
pub(crate) fn find(kind: Kind, name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.kind == kind && built_in.name == name)
}

/// Names of those of a kind.
pub(crate) fn names(kind: Kind) -> Vec<&'static str> {
    ALL.iter().filter(|built_in| built_in.kind == kind).map(|built_in| built_in.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_dist_is_built_in() {
        let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist");
        let files = std::fs::read_dir(dist).unwrap().filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "wasm")
        });
        assert_eq!(files.count(), ALL.len());
        assert_eq!(ALL[0].name, "systemd");
    }
}
