//! Nodes for tests whose CouchDB is never reached.

use std::path::Path;

use node::{Endpoint, Http, LocalFiles, Node, NodeService};
use plugin_host::{NodeId, State};

/// Nobody starts or stops anything here.
struct NoService;

impl NodeService for NoService {
    fn start(&self) -> node::Result<()> {
        Ok(())
    }
    fn stop(&self) -> node::Result<()> {
        Ok(())
    }
    fn status(&self) -> node::Result<State> {
        Ok(State::Unknown)
    }
    fn shown(&self) -> &'static str {
        "nobody"
    }
}

/// A node with its data in this directory of this machine. Nobody listens at its address.
pub(crate) fn node(name: &str, data: &Path) -> Node {
    let endpoint = Endpoint { tls: false, host: "127.0.0.1".into(), port: 1, ca: None };
    Node {
        id: NodeId { name: Some(name.into()), host: None },
        data: data.to_owned(),
        files: Box::new(LocalFiles::new(name.into())),
        service: Box::new(NoService),
        http: Http::new(&endpoint, None, None, name.into()).unwrap(),
    }
}
