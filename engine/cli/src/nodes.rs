//! Nodes as the command line names them.

use std::path::PathBuf;

use operations::backup::FolderArgument;
use operations::error::OperationError;
use operations::restore::Target;
use operations::site::{NodeId, is_local};

/// Parses `[user:password@]localhost[:port],/data/dir[,nodename]`, couchcopy's form. What comes before the `@` is never
/// repeated in a message.
pub(crate) fn folder(text: &str) -> Result<FolderArgument, OperationError> {
    let mut parts = text.splitn(3, ',');
    let place = parts.next().unwrap_or_default();
    let host_port = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let host = host_port.strip_suffix(|c: char| c.is_ascii_digit()).map_or(host_port, |_| {
        host_port
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host_port, |(host, _)| host)
    });
    let Some(path) = parts.next().filter(|path| !path.is_empty()) else {
        return Err(OperationError::refused(
            "a node must be named as localhost,DATA_DIR",
            "For example: localhost,/opt/couchdb/data. The archive comes last.",
        ));
    };
    if !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        return Err(OperationError::refused(
            format!("{host} is not this machine; this version saves folders of this machine only"),
            "Run couchcopy on that machine with localhost,DATA_DIR, or mount its data folder here.",
        ));
    }
    let node = parts.next().filter(|node| !node.is_empty()).map(str::to_owned);
    Ok(FolderArgument { path: PathBuf::from(path), node })
}

/// Parses `[user:password@]HOST[:port][,DATA_DIR[,NODENAME]]`. What comes before the `@` is CouchDB's business, not the
/// machine's, and is left out.
pub(crate) fn site(text: &str) -> Result<(NodeId, Option<PathBuf>), OperationError> {
    let mut parts = text.splitn(3, ',');
    let place = parts.next().unwrap_or_default();
    let host = host_of(place);
    if host.is_empty() || host.starts_with('-') || host.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(OperationError::refused(
            "a node must be named as HOST, HOST,DATA_DIR or HOST,DATA_DIR,NODENAME",
            "For example: localhost, or db1.example.com,/opt/couchdb/data.",
        ));
    }
    let data = parts.next().filter(|path| !path.is_empty()).map(PathBuf::from);
    let name = parts.next().filter(|name| !name.is_empty()).map(str::to_owned);
    Ok((NodeId { name, host: (!is_local(host)).then(|| host.to_owned()) }, data))
}

/// The host in `[user:password@]HOST[:port]`; an IPv6 address stands in brackets.
fn host_of(place: &str) -> &str {
    let host_port = place.rsplit_once('@').map_or(place, |(_, host)| host);
    if let Some((address, _)) = host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host_port.split_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host_port,
    }
}

/// Parses `DIR,NODENAME`.
pub(crate) fn target(text: &str) -> Result<Target, OperationError> {
    let parsed = text.rsplit_once(',').filter(|(folder, node)| !folder.is_empty() && node.contains('@'));
    let Some((folder, node)) = parsed else {
        return Err(OperationError::refused(
            format!("{text} is not a folder and a node's name"),
            "Write DIR,NODENAME, for example /opt/couchdb/data,couchdb@127.0.0.1. The name is what the node's vm.args \
             says after -name.",
        ));
    };
    Ok(Target { folder: PathBuf::from(folder), node: node.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_as_couchcopy_writes_them() {
        for text in ["localhost,/d", "127.0.0.1,/d", "admin:pa@ss@localhost:5984,/d", "localhost:5984,/d"] {
            let parsed = folder(text).unwrap();
            assert_eq!((parsed.path, parsed.node), (PathBuf::from("/d"), None), "{text}");
        }
        assert_eq!(folder("localhost,/d,couchdb@h").unwrap().node.as_deref(), Some("couchdb@h"));
        for wrong in ["/d", "localhost", "localhost,", "example.com,/d", ""] {
            assert!(folder(wrong).is_err(), "{wrong}");
        }
        let message = folder("admin:secret@example.com,/d").unwrap_err().to_string();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn nodes_anywhere() {
        let host = |text: &str| site(text).unwrap().0.host;
        assert_eq!(host("localhost"), None);
        assert_eq!(host("admin:p@ss@localhost:5984,/d"), None);
        assert_eq!(host("[::1]:5984"), None);
        assert_eq!(host("db1.example.com:5984,/d").as_deref(), Some("db1.example.com"));
        assert_eq!(host("[fd00::1]:5984").as_deref(), Some("fd00::1"));
        let (id, data) = site("db1,/d,couchdb@db1").unwrap();
        assert_eq!((id.name.as_deref(), data), (Some("couchdb@db1"), Some(PathBuf::from("/d"))));
        for wrong in ["", ",/d", "-oProxyCommand=x", "a b", "u:p@"] {
            assert!(site(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn targets() {
        let parsed = target("/a,b/c,couchdb@127.0.0.1").unwrap();
        assert_eq!((parsed.folder, parsed.node.as_str()), (PathBuf::from("/a,b/c"), "couchdb@127.0.0.1"));
        for wrong in ["/d", "/d,", ",couchdb@h", "/d,couchdb"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
