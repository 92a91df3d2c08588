//! A cluster whose nodes have either of two names each, on either of two addresses of this machine.

use std::fs;

use couchcopy_tests::Result;
use couchcopy_tests::content::agreed_maps;
use couchcopy_tests::lab::{Ended, Size, encode, read_over_http, run, wait_for};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

/// Names the step after which couchcopy kills itself.
pub(super) const KILL: &str = "COUCHCOPY_TEST_KILL_AFTER_STEP";

/// The cluster.
pub(super) struct Arena {
    pub(super) site: Site,
    names: [Vec<String>; 2],
    /// Which names it has.
    current: usize,
    /// Everything in it.
    expected: Value,
    writes: usize,
}

impl Arena {
    /// So many nodes with some databases; where something is missing, says so.
    pub(super) fn new(nodes: u8, reach: Reach) -> Result<Option<Self>> {
        let Some(site) = Site::start(Plan { size: Size { nodes, q: 2, n: nodes.into() }, reach })? else {
            return Ok(None);
        };
        let http = site.http();
        for db in ["shop", "team%2Fwiki"] {
            http.put(&format!("/{db}"), &Value::Null)?;
            for i in 0..20 {
                http.put(&format!("/{db}/doc{i}"), &json!({"i": i}))?;
            }
            let revision = http.get(&format!("/{db}/doc0"))?["_rev"].as_str().unwrap_or_default().to_owned();
            http.delete(&format!("/{db}/doc0?rev={revision}"))?;
        }
        http.put(
            "/shop/_security",
            &json!({"members": {"names": ["ann"], "roles": []}, "admins": {"names": [], "roles": []}}),
        )?;
        http.put("/one-copy?n=1", &Value::Null)?;
        http.put("/one-copy/doc", &json!({"copies": 1}))?;
        site.wait_until_settled(|_| Ok(()))?;
        let expected = read_over_http(http)?;
        let before: Vec<String> = site.nodes.iter().map(|node| node.name.clone()).collect();
        // Another address of this machine is another host name to Erlang: couchdb85x1@127.0.85.1 becomes …@127.0.85.101.
        let other = |name: &String| {
            name.rsplit_once('.').map(|(net, i)| format!("{net}.{}", i.parse::<u8>().unwrap_or(0) + 100))
        };
        let after =
            before.iter().map(other).collect::<Option<Vec<_>>>().ok_or("a name without an address")?;
        Ok(Some(Self { site, names: [before, after], current: 0, expected, writes: 0 }))
    }

    /// The names that the nodes have, and the other ones.
    pub(super) fn names(&self) -> (&[String], &[String]) {
        (&self.names[self.current], &self.names[1 - self.current])
    }

    /// `OLD=NEW` of all nodes.
    pub(super) fn pairs(&self) -> Vec<String> {
        let (old, new) = self.names();
        old.iter().zip(new).map(|(old, new)| format!("{old}={new}")).collect()
    }

    /// Writes other names into the configuration: CouchDB starts under them from now on.
    pub(super) fn configure_other(&self) -> Result<()> {
        self.configure(1 - self.current)
    }

    /// Writes the names that the nodes have into the configuration again.
    pub(super) fn configure_current(&self) -> Result<()> {
        self.configure(self.current)
    }

    fn configure(&self, which: usize) -> Result<()> {
        for (node, name) in self.site.nodes.iter().zip(&self.names[which]) {
            let file = node.data.with_file_name("etc").join("vm.args");
            let mut text = String::new();
            for line in fs::read_to_string(&file)?.lines() {
                let host = name.rsplit_once('@').map_or("", |(_, host)| host);
                let changed = match line.split_once(' ') {
                    Some(("-name", _)) => format!("-name {name}"),
                    Some(("-kernel", rest)) if rest.starts_with("inet_dist_use_interface") => {
                        format!("-kernel inet_dist_use_interface {{{}}}", host.replace('.', ","))
                    }
                    _ => line.to_owned(),
                };
                text.push_str(&changed);
                text.push('\n');
            }
            fs::write(file, text)?;
        }
        Ok(())
    }

    /// Renames all nodes; the cluster file has their old names.
    pub(super) fn rename(&self, more: &[&str], variables: &[(&str, &str)]) -> Result<Ended> {
        let pairs = self.pairs();
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        self.couchcopy(&[&["rename-node", "-y", "-v"], more, &pairs].concat(), variables)
    }

    /// Runs couchcopy with these variables.
    pub(super) fn couchcopy(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Ended> {
        let mut command = self.site.command(arguments)?;
        command.envs(variables.iter().copied());
        Ok(run(&mut command)?.unwrapped())
    }

    /// Stops all nodes.
    pub(super) fn stop(&self) -> Result<()> {
        (0..self.site.nodes.len()).try_for_each(|i| self.site.control(i, "stop")?.success().map(|_| ()))
    }

    /// The nodes have their other names, everything is in them, and nothing is left of the renaming.
    pub(super) fn check_new(&mut self) -> Result<()> {
        self.current = 1 - self.current;
        for (node, name) in self.site.nodes.iter_mut().zip(&self.names[self.current]) {
            node.name.clone_from(name);
        }
        let file = self.site.cluster_file();
        let mut text = fs::read_to_string(&file)?;
        for (old, new) in self.names[1 - self.current].iter().zip(&self.names[self.current]) {
            text = text.replace(&format!("{old:?}"), &format!("{new:?}"));
        }
        fs::write(file, text)?;
        self.check_old()
    }

    /// The nodes have one names or the other, all of them.
    pub(super) fn check_either(&mut self) -> Result<()> {
        self.site.wait_until_up()?;
        if self.site.http().get("/_node/_local")?["name"] == json!(self.names().0[0]) {
            self.configure_current()?;
            return self.check_old();
        }
        self.configure_other()?;
        self.check_new()
    }

    /// The nodes have the names that they had, everything is in them, and nothing is left of the renaming.
    pub(super) fn check_old(&mut self) -> Result<()> {
        self.site.wait_until_up()?;
        let names: Vec<Value> = self.names().0.iter().map(|name| json!(name)).collect();
        for node in &self.site.nodes {
            // Nobody tells the nodes of each other but couchcopy.
            wait_for(&format!("{} to see its cluster", node.name), || {
                let seen = node.http.get("/_membership")?;
                let agrees = ["all_nodes", "cluster_nodes"].iter().all(|list| seen[list] == json!(names));
                if agrees { Ok(Some(())) } else { Err(seen.to_string().into()) }
            })?;
        }
        self.site.check_content(&self.expected)?;
        for node in &self.site.nodes {
            for db in ["shop", "team/wiki", "one-copy", "_users"] {
                let shards = node.http.get(&format!("/{}/_shards", encode(db)))?;
                let holders = shards["shards"]
                    .as_object()
                    .ok_or("no shards")?
                    .values()
                    .filter_map(|nodes| nodes.as_array());
                for name in holders.flatten() {
                    assert!(names.contains(name), "{db}: {shards}");
                }
            }
        }
        if self.site.situations()?.iter().any(|situation| situation != "untouched") {
            self.site.couchcopy(&["clean"])?.success()?;
        }
        self.site.check_nothing_left()?;
        let folders: Vec<_> = self.site.nodes.iter().map(|node| node.data.as_path()).collect();
        agreed_maps(&folders)?;
        self.write()
    }

    /// Every node takes writes, which all copies get, and a new database; these are part of what is expected from now on.
    fn write(&mut self) -> Result<()> {
        self.writes += 1;
        for (i, node) in self.site.nodes.iter().enumerate() {
            let answer = node.http.put(&format!("/shop/later{}-{i}", self.writes), &json!({"by": i}))?;
            assert_eq!(answer["ok"], json!(true), "{answer}");
        }
        self.site.http().put(&format!("/made{}", self.writes), &Value::Null)?;
        self.site.http().delete(&format!("/made{}", self.writes))?;
        self.site.wait_until_settled(|_| Ok(()))?;
        let expected = read_over_http(self.site.http())?;
        for (name, before) in self.expected.as_object().ok_or("no databases")? {
            // CouchDB writes into its own databases.
            if name != "shop" && !name.starts_with('_') {
                assert_eq!(expected[name], *before, "{name}");
            }
        }
        self.expected = expected;
        Ok(())
    }
}
