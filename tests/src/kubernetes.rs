//! An API server of Kubernetes: etcd and kube-apiserver with what is built in, role-based access, and nothing that runs pods.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::lab::{Ended, on_path, run, skipped};
use crate::object_servers::request;
use crate::object_servers::server::{Server, command};

/// What the one who may do all is known by.
const ADMIN: &str = "token-of-the-admin";

/// A running API server. It is killed with its etcd when it goes out of scope.
#[derive(Debug)]
pub struct ApiServer {
    _server: Server,
    _etcd: Server,
    endpoint: String,
    kubectl: PathBuf,
    /// Configurations of kubectl, and its cache.
    home: tempfile::TempDir,
}

impl ApiServer {
    /// Starts one and waits until it is ready. Where something that it takes is not in the path, says so and returns `None`.
    pub fn start() -> Result<Option<Self>> {
        let mut programs = Vec::new();
        for name in ["etcd", "kube-apiserver", "kubectl", "openssl"] {
            let Some(program) = on_path(name) else {
                skipped(&format!("no API server of Kubernetes: no {name} in the path"));
                return Ok(None);
            };
            programs.push(program);
        }
        let [etcd, server, kubectl, openssl] = &programs[..] else { return Ok(None) };
        let home = tempfile::tempdir()?;
        let (etcd, ports) = Server::start(
            "etcd",
            |folder, ports| Ok(etcd_command(etcd, folder, ports)),
            |_| Vec::new(),
            |[port, _]| Ok(request(&local("http", port), "GET", "/health", &[], b"")?.status == 200),
        )?;
        let store = local("http", ports[0]);
        let (server, [port]) = Server::start(
            "kube-apiserver",
            |folder, [port]| server_command((server, openssl), folder, &store, port),
            |_| Vec::new(),
            |[port]| {
                let configuration = configure(home.path(), &local("https", port), ADMIN)?;
                let mut asks = Command::new(kubectl);
                asks.args(["get", "--raw=/readyz"]).env("KUBECONFIG", configuration).env("HOME", home.path());
                run(&mut asks)?.success()?;
                Ok(true)
            },
        )?;
        let endpoint = local("https", port);
        Ok(Some(Self { _server: server, _etcd: etcd, endpoint, kubectl: kubectl.clone(), home }))
    }

    /// Runs kubectl as one who may do all.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Ended> {
        let configuration = configure(self.home.path(), &self.endpoint, ADMIN)?;
        let mut command = Command::new(&self.kubectl);
        run(command.args(arguments).env("KUBECONFIG", configuration).env("HOME", self.home.path()))
    }

    /// The variables with which kubectl comes as a service account, with the account's namespace as its own.
    pub fn environment_of(&self, namespace: &str, account: &str) -> Result<Vec<(String, String)>> {
        let token = self.kubectl(&["create", "token", account, "--namespace", namespace])?.success()?;
        let folder = self.home.path().join(account);
        std::fs::create_dir_all(&folder)?;
        let configuration = configure(&folder, &self.endpoint, token.trim())?;
        let text = std::fs::read_to_string(&configuration)?;
        let placed = text.replace("user: us }", &format!("user: us, namespace: {namespace} }}"));
        std::fs::write(&configuration, placed)?;
        let text = |path: &Path| path.display().to_string();
        Ok(vec![("KUBECONFIG".into(), text(&configuration)), ("HOME".into(), text(&folder))])
    }
}

fn local(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}

/// Writes a configuration of kubectl. The server's certificate is its own, made when it starts.
fn configure(folder: &Path, endpoint: &str, token: &str) -> Result<PathBuf> {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{ name: it, cluster: {{ server: '{endpoint}', insecure-skip-tls-verify: true }} }}]\n\
         users: [{{ name: us, user: {{ token: '{token}' }} }}]\n\
         contexts: [{{ name: here, context: {{ cluster: it, user: us }} }}]\n"
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

fn etcd_command(program: &Path, folder: &Path, [port, peers]: [u16; 2]) -> Command {
    let (clients, peers) = (local("http", port), local("http", peers));
    let mut etcd = command(program);
    etcd.arg("--data-dir").arg(folder.join("data"));
    etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    etcd.args(["--name", "one", "--initial-cluster", &format!("one={peers}")]);
    etcd
}

fn server_command(
    (program, openssl): (&Path, &Path),
    folder: &Path,
    store: &str,
    port: u16,
) -> Result<Command> {
    let (key, tokens) = (folder.join("accounts.key"), folder.join("tokens.csv"));
    run(Command::new(openssl).args(["genrsa", "-out"]).arg(&key).arg("2048"))?.success()?;
    std::fs::write(&tokens, format!("{ADMIN},admin,admin,system:masters\n"))?;
    let mut server = command(program);
    server.arg(format!("--etcd-servers={store}")).arg(format!("--secure-port={port}"));
    server.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
    server.args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24"]);
    server.args(["--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc"]);
    for (option, path) in [
        ("--cert-dir", &folder.join("certificates")),
        ("--token-auth-file", &tokens),
        ("--service-account-key-file", &key),
        ("--service-account-signing-key-file", &key),
    ] {
        server.arg(format!("{option}={}", path.display()));
    }
    Ok(server)
}
