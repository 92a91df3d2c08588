//! How couchcopy reaches CouchDB's HTTP interface.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use outcome::{Code, Failure, Result, printable};
use site::{CredentialSources, HttpAddress, SiteNode, TunnelMode};

use crate::session::Session;

/// Options of every command that sends requests to CouchDB.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "CouchDB's HTTP interface")]
pub(crate) struct HttpFlags {
    /// Name of the server admin, if not in the node argument [default: admin].
    ///
    /// The password comes from the node argument, --password-file, COUCHCOPY_PASSWORD or netrc; otherwise couchcopy asks for
    /// it.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// File with the admin's password in its first line.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Address of CouchDB, if it is not http on port 5984 of the node's host.
    ///
    /// Write http://HOST[:PORT] or https://HOST[:PORT]. The option is for a single node; for several nodes, put a `url` for each
    /// node into the --cluster file.
    #[arg(long, value_name = "URL", hide_short_help = true)]
    pub(crate) url: Option<String>,

    /// PEM file with a certificate to trust for https.
    ///
    /// Name the certificate of your own certificate authority, or CouchDB's self-signed certificate. It is trusted in addition
    /// to the certificates that this machine trusts. Each node can have its own as `ca` in the --cluster file.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) ca: Option<PathBuf>,

    /// Reach CouchDB's HTTP port through the --via chain.
    #[arg(long, value_enum, default_value_t = Tunnel::Auto, value_name = "WHEN", hide_short_help = true)]
    pub(crate) tunnel: Tunnel,
}

/// When to reach CouchDB through the access chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tunnel {
    /// Only if a direct connection fails.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// When to ask the user for a password that no other source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskForPassword {
    /// Always: the command cannot do its work without a server admin.
    Always,
    /// Only if the user named an admin: the command works without.
    IfUserIsNamed,
}

impl HttpFlags {
    /// The nodes with addresses, names and passwords, as far as they are known.
    pub(crate) fn complete(
        &self,
        mut nodes: Vec<SiteNode>,
        when: AskForPassword,
        session: &Session,
    ) -> Result<Vec<SiteNode>> {
        if let Some(url) = &self.url {
            let [node] = &mut nodes[..] else {
                return Err(Failure::refused(
                    Code::new("CC-X10"),
                    "--url is the address of a single node, and there are several nodes",
                    "Put a `url` for each node into a --cluster file, or write the nodes as HOST:PORT.",
                ));
            };
            let before = std::mem::take(&mut node.http);
            let parsed = HttpAddress::parse(url)?;
            let (tls, scheme_given) = (parsed.tls, parsed.scheme_given);
            node.http = HttpAddress { tls, scheme_given, host: parsed.host, port: parsed.port, ..before };
        }
        if let Some(ca) = &self.ca {
            for node in &mut nodes {
                node.http.ca = Some(ca.clone());
            }
        }
        let mut sources = CredentialSources::of_environment(self.user.clone(), self.password_file.clone());
        if (when == AskForPassword::Always || self.user.is_some()) && session.can_ask() {
            sources.ask = Some(Box::new(|user, host| {
                rpassword::prompt_password(format!("Password of {user} at {}: ", printable(host)))
                    .ok()
                    .filter(|password| !password.is_empty())
            }));
        }
        sources.complete(&mut nodes)?;
        Ok(nodes)
    }

    /// When to use tunnels.
    pub(crate) fn tunnel(&self) -> TunnelMode {
        match self.tunnel {
            Tunnel::Auto => TunnelMode::Auto,
            Tunnel::Always => TunnelMode::Always,
            Tunnel::Never => TunnelMode::Never,
        }
    }
}
