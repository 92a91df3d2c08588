//! Where the name and password of a server admin come from: the node argument, `COUCHCOPY_PASSWORD`, a file, the cluster file,
//! netrc, a prompt.

use std::path::{Path, PathBuf};

use node::Credentials;
use outcome::{Code, Failure, Result};

use super::{SiteNode, netrc};

/// The default user name.
const USER: &str = "admin";

/// Asks the user for the password of a user name at a node.
pub type AskPassword = Box<dyn Fn(&str, &str) -> Option<String>>;

/// Sources of credentials besides the node arguments.
#[derive(Default)]
pub struct CredentialSources {
    /// `--user`.
    pub user: Option<String>,
    /// `--password-file`: its first line is the password.
    pub password_file: Option<PathBuf>,
    /// `COUCHCOPY_PASSWORD`.
    pub password: Option<String>,
    /// The netrc file, if there is one.
    pub netrc: Option<PathBuf>,
    /// Asks the user; `None` if nobody can be asked.
    pub ask: Option<AskPassword>,
}

impl CredentialSources {
    /// The sources that the environment provides.
    pub fn of_environment(user: Option<String>, password_file: Option<PathBuf>) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let netrc = variable("NETRC")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".netrc")));
        let password = std::env::var("COUCHCOPY_PASSWORD").ok().filter(|password| !password.is_empty());
        Self { user, password_file, password, netrc, ask: None }
    }

    /// Sets the credentials of every node that has none from the other sources. A node that no source knows stays without.
    pub fn complete(&self, nodes: &mut [SiteNode]) -> Result<()> {
        let password = match (&self.password_file, &self.password) {
            (Some(file), _) => Some(first_line(file)?),
            (None, password) => password.clone(),
        };
        let mut asked: Option<Credentials> = None;
        for node in nodes.iter_mut().filter(|node| node.http.credentials.is_none()) {
            let wanted =
                node.http.user.clone().or_else(|| self.user.clone()).or_else(|| node.http.usual_user.clone());
            let user = || wanted.clone().unwrap_or_else(|| USER.into());
            let host = node.http.endpoint(&node.id).host;
            let own = match (&password, &node.http.password_file) {
                (None, Some(file)) => Some(first_line(file)?),
                _ => None,
            };
            let found = match password.as_ref().or(own.as_ref()) {
                Some(password) => Some(Credentials { user: user(), password: password.clone() }),
                None => self.netrc(&host, wanted.as_deref()),
            };
            node.http.credentials = found.or_else(|| {
                let ask = self.ask.as_ref()?;
                if asked.as_ref().is_none_or(|asked| asked.user != user()) {
                    let user = user();
                    asked = ask(&user, &host).map(|password| Credentials { user, password });
                }
                asked.clone()
            });
        }
        Ok(())
    }

    fn netrc(&self, host: &str, user: Option<&str>) -> Option<Credentials> {
        let text = std::fs::read_to_string(self.netrc.as_ref()?).ok()?;
        netrc::lookup(&text, host, user)
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::io("read", file, e))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-S05"),
            format!("the first line of {} is empty", file.display()),
            "Write the password into the first line of the file.",
        ));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use plugin_host::{NodeId, PluginReference};

    use super::*;
    use crate::site::HttpAddress;

    fn node(password: Option<&str>) -> SiteNode {
        let credentials = password.map(|p| Credentials { user: "root".into(), password: p.into() });
        SiteNode {
            id: NodeId { name: None, host: Some("db1".into()) },
            data: None,
            service: PluginReference::new("systemd"),
            via: Vec::new(),
            http: HttpAddress { credentials, ..HttpAddress::default() },
            config: Vec::new(),
        }
    }

    #[test]
    fn the_node_argument_goes_first_then_files_then_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "from file\n").unwrap();
        let mut nodes = [node(Some("own")), node(None)];
        let sources = CredentialSources { password_file: Some(file), ..CredentialSources::default() };
        sources.complete(&mut nodes).unwrap();
        let told = |node: &SiteNode| {
            let found = node.http.credentials.clone().unwrap();
            (found.user, found.password)
        };
        assert_eq!(told(&nodes[0]), ("root".into(), "own".into()));
        assert_eq!(told(&nodes[1]), ("admin".into(), "from file".into()));
        let mut nodes = [node(None)];
        nodes[0].http.user = Some("bob".into());
        let sources = CredentialSources { password: Some("p".into()), ..CredentialSources::default() };
        sources.complete(&mut nodes).unwrap();
        assert_eq!(told(&nodes[0]), ("bob".into(), "p".into()));
        // The cluster file stands behind the command line.
        let own = folder.path().join("own");
        std::fs::write(&own, "of the cluster\n").unwrap();
        let mut nodes = [node(None)];
        (nodes[0].http.usual_user, nodes[0].http.password_file) = (Some("backup".into()), Some(own));
        CredentialSources::default().complete(&mut nodes).unwrap();
        assert_eq!(told(&nodes[0]), ("backup".into(), "of the cluster".into()));
        nodes[0].http.credentials = None;
        let sources = CredentialSources { password: Some("p".into()), ..CredentialSources::default() };
        sources.complete(&mut nodes).unwrap();
        assert_eq!(told(&nodes[0]), ("backup".into(), "p".into()));
        let mut nodes = [node(None), node(None)];
        let ask = |user: &str, _: &str| Some(format!("asked for {user}"));
        let sources = CredentialSources { ask: Some(Box::new(ask)), ..CredentialSources::default() };
        sources.complete(&mut nodes).unwrap();
        assert_eq!(told(&nodes[1]), ("admin".into(), "asked for admin".into()));
    }
}
