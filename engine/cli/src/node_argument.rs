//! Nodes, ports and targets as words on the command line.

use std::path::PathBuf;

use outcome::{Code, Failure, printable};
use restore::folders::Target;
use site::{Credentials, HttpAddress, NodeArgument, NodeId, is_local, split_port, split_scheme};

/// Parses `[http[s]://][user:password@]HOST[:port][/][,DATA_DIR[,NODENAME]]`: couchcopy's form, or the URL of a CouchDB. `@`, `:`
/// and `,` in name and password are percent-encoded. Name and password are never repeated in a message. An IPv6 address is
/// written in brackets.
pub(crate) fn node(text: &str) -> Result<NodeArgument, Failure> {
    let mut parts = text.splitn(3, ',');
    let (tls, place) = split_scheme(parts.next().unwrap_or_default());
    let place = if tls.is_some() { place.trim_end_matches('/') } else { place };
    let (credentials, place) = match place.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, place),
    };
    let wrong = || {
        Failure::refused(
            Code::new("CC-X01"),
            "a node is written as HOST, HOST,DATA_DIR or HOST,DATA_DIR,NODENAME; HOST may be a URL without a path",
            "For example: localhost, admin:password@db1.example.com:5984,/opt/couchdb/data, or \
             https://db1.example.com:6984,/opt/couchdb/data. In a password, write `,` as %2C, `:` as %3A and `@` as %40.",
        )
    };
    let (host, port) = split_port(place).ok_or_else(wrong)?;
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '?' || c == '#';
    if host.is_empty() || host.starts_with('-') || host.chars().any(is_odd) {
        return Err(wrong());
    }
    let (mut user, mut known) = (None, None);
    match credentials.map(|credentials| (credentials, credentials.split_once(':'))) {
        Some((_, Some((user, password)))) => {
            known = Some(Credentials { user: decoded(user), password: decoded(password) });
        }
        // The password comes from another source.
        Some((name, None)) => user = Some(decoded(name)),
        None => {}
    }
    let data = parts.next().filter(|path| !path.is_empty()).map(PathBuf::from);
    let name = parts.next().filter(|name| !name.is_empty()).map(str::to_owned);
    let local = is_local(host);
    let http_host = local.then(|| if host == "localhost" { "127.0.0.1" } else { host }.to_owned());
    Ok(NodeArgument {
        id: NodeId { name, host: (!local).then(|| host.to_owned()) },
        data,
        http: HttpAddress {
            tls: tls == Some(true),
            scheme_given: tls.is_some(),
            host: http_host,
            port,
            credentials: known,
            user,
            ..HttpAddress::default()
        },
    })
}

/// Whether a text that is not the name of a node in a cluster file is a node argument.
pub(crate) fn is_more_than_a_name(text: &str) -> bool {
    text.contains(',')
        || split_scheme(text).0.is_some()
        || text.rsplit_once('@').is_some_and(|(credentials, _)| credentials.contains(':'))
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Parses `HOST:PORT` as seen from a node. An IPv6 address is written in brackets, which are removed.
pub(crate) fn host_and_port(text: &str) -> Result<(&str, u16), Failure> {
    match split_port(text) {
        Some((host, Some(port))) if !host.is_empty() && port > 0 => Ok((host, port)),
        _ => Err(Failure::refused(
            Code::new("CC-X02"),
            format!("{} is not HOST:PORT", printable(text)),
            "For example: localhost:5984, or [::1]:5984. HOST is a name or address that the node's machine can resolve.",
        )),
    }
}

/// Parses `DIR,NODENAME`.
pub(crate) fn target(text: &str) -> Result<Target, Failure> {
    let parsed = text.rsplit_once(',').filter(|(folder, node)| !folder.is_empty() && node.contains('@'));
    let Some((folder, node)) = parsed else {
        return Err(Failure::refused(
            Code::new("CC-X03"),
            format!("{text} is not a directory and a node's name"),
            "Write DIR,NODENAME, for example /opt/couchdb/data,couchdb@127.0.0.1. NODENAME is the value of -name in the \
             node's vm.args.",
        ));
    };
    Ok(Target { folder: PathBuf::from(folder), node: node.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_anywhere() {
        let host = |text: &str| node(text).unwrap().id.host;
        assert_eq!(host("localhost"), None);
        assert_eq!(host("admin:p@ss@localhost:5984,/d"), None);
        assert_eq!(host("[::1]:5984"), None);
        assert_eq!(host("db1.example.com:5984,/d").as_deref(), Some("db1.example.com"));
        assert_eq!(host("[fd00::1]:5984").as_deref(), Some("fd00::1"));
        let parsed = node("db1,/d,couchdb@db1").unwrap();
        assert_eq!(
            (parsed.id.name.as_deref(), parsed.data),
            (Some("couchdb@db1"), Some(PathBuf::from("/d")))
        );
        let parsed = node("admin:p%40%3A%2Cs@[fd00::1]:81,/d").unwrap();
        let credentials = parsed.http.credentials.clone().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("admin", "p@:,s"));
        assert_eq!(parsed.http.endpoint(&parsed.id).to_string(), "http://[fd00::1]:81");
        for wrong in ["", ",/d", "-oProxyCommand=x", "a b", "u:p@", "u:secret@db1:x,/d"] {
            let message = node(wrong).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn urls_are_nodes() {
        for (text, url, host, data) in [
            ("http://db1:5984", "http://db1:5984", Some("db1"), None),
            (
                "https://admin:p%40s@db1.example.com:6984/",
                "https://db1.example.com:6984",
                Some("db1.example.com"),
                None,
            ),
            ("HTTPS://db1/,/d", "https://db1:6984", Some("db1"), Some("/d")),
            ("http://localhost:5985/,/d", "http://127.0.0.1:5985", None, Some("/d")),
            ("http://[fd00::1]:81", "http://[fd00::1]:81", Some("fd00::1"), None),
        ] {
            let parsed = node(text).unwrap();
            assert_eq!(parsed.http.endpoint(&parsed.id).to_string(), url, "{text}");
            assert_eq!(parsed.id.host.as_deref(), host, "{text}");
            assert_eq!(parsed.data, data.map(PathBuf::from), "{text}");
            assert!(is_more_than_a_name(text), "{text}");
        }
        let parsed = node("https://admin:p%40s@db1:6984/").unwrap();
        assert_eq!(parsed.http.credentials.unwrap().password, "p@s");
        let parsed = node("http://bob%40me@db1:5984").unwrap();
        assert_eq!((parsed.http.user.as_deref(), parsed.http.credentials), (Some("bob@me"), None));
        for wrong in
            ["http://", "http:///d", "http://db1/couch", "ftp://db1", "http://u:secret@db1:6984/_utils"]
        {
            let message = node(wrong).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn names_and_arguments() {
        for name in ["db1", "couchdb@db1", "[fd00::1]:5984", "db1:5984"] {
            assert!(!is_more_than_a_name(name), "{name}");
        }
        for argument in ["db1,/d", "admin:p@db1", "admin:p@db1:5984,/d,couchdb@db1"] {
            assert!(is_more_than_a_name(argument), "{argument}");
        }
    }

    #[test]
    fn ports() {
        for (text, host, number) in [
            ("localhost:5984", "localhost", 5984),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[::1]:65535", "::1", 65535),
            ("[db1]:80", "db1", 80),
        ] {
            assert_eq!(host_and_port(text).unwrap(), (host, number), "{text}");
        }
        for wrong in ["", "5984", "localhost", "localhost:", "localhost:0", "localhost:65536", ":80", "[]:80"]
        {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
        for wrong in ["::1:5984", "[::1", "[::1]", "[::1:80", "localhost:http", "localhost:80 "] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
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
