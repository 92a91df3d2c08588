//! Which nodes get the copies of a database: what CouchDB's zones demand, and an even spread where they leave a choice.
//!
//! CouchDB places the shards of a new database by `[cluster] placement` and by the attributes `zone` and `decom` in the documents
//! of the nodes in `_nodes`. It keeps nothing about the placement in the shard map but the nodes themselves, not even if the
//! database was created with `?placement=`.
//!
//! Source: `mem3.erl` (`choose_shards/2`, `allowed_nodes/0`, `nodes_in_zone/2`), `fabric_db_create.erl` (`make_document/3`).

mod places;
pub(crate) mod spread;
mod zones;

use std::collections::BTreeMap;

use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};

pub use places::{Places, Where};
use spread::Group;
pub use zones::ZoneCopies;

/// What decides about a node, from its document in `_nodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFacts {
    /// The attribute `zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// Whether the attribute `decom` keeps new databases away from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) decommissioned: bool,
}

/// What decides where the copies of databases go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// What `--place` asks for, which counts more than the cluster's placement.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    places: Places,
    /// Whether databases are spread anew whose nodes are the same as in the archive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    even_out: bool,
    /// `[cluster] placement` of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<ZoneCopies>,
    /// What decides about each node, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    nodes: BTreeMap<String, NodeFacts>,
    /// Whether copies go round the nodes without regard to anything else, as they did before journals had a placement.
    #[serde(skip)]
    round_robin: bool,
}

impl Placement {
    /// What the user asks for. `zones` are the zones of nodes that cannot be asked, as `NODENAME=ZONE`.
    ///
    /// Fails if a zone is given in another form, or a node is given two zones.
    pub fn chosen(places: Places, zones: &[String], even_out: bool) -> Result<Self> {
        let mut nodes = BTreeMap::new();
        for text in zones {
            let parsed = text
                .split_once('=')
                .filter(|(node, zone)| !node.is_empty() && !zone.is_empty() && !zone.contains([',', ':']));
            let Some((node, zone)) = parsed else {
                return Err(wrong_zone(format!("{text:?} is not a node and its zone")));
            };
            let facts = NodeFacts { zone: Some(zone.to_owned()), decommissioned: false };
            if nodes.insert(node.to_owned(), facts).is_some() {
                return Err(wrong_zone(format!("{node} has two zones")));
            }
        }
        Ok(Self { places, even_out, nodes, ..Self::default() })
    }

    /// The placement of a restore that was begun by a couchcopy that recorded none.
    pub(crate) fn not_recorded() -> Self {
        Self { round_robin: true, ..Self::default() }
    }

    /// What the nodes tell counts from now on.
    pub(crate) fn learn(&mut self, cluster: Option<ZoneCopies>, nodes: BTreeMap<String, NodeFacts>) {
        (self.cluster, self.nodes, self.round_robin) = (cluster, nodes, false);
    }

    /// What `--place` asks for.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// `[cluster] placement`, if databases follow it.
    pub(crate) fn of_cluster(&self) -> Option<&ZoneCopies> {
        self.cluster.as_ref().filter(|_| self.places.for_all().is_none())
    }

    pub(crate) fn is_round_robin(&self) -> bool {
        self.round_robin
    }

    /// Whether databases stay where they are, as far as they may.
    pub(crate) fn keeps(&self) -> bool {
        !self.even_out
    }

    /// The zone of a node.
    pub(crate) fn zone_of(&self, node: &str) -> Option<&str> {
        self.nodes.get(node)?.zone.as_deref()
    }

    /// Whether a node gets no copies.
    pub(crate) fn is_decommissioned(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|facts| facts.decommissioned)
    }

    /// The nodes that may hold copies, each with its zone.
    fn allowed<'n>(
        &'n self,
        nodes: &'n [String],
    ) -> impl Iterator<Item = (&'n str, Option<&'n str>)> + Clone + 'n {
        let allowed = nodes.iter().filter(|node| !self.is_decommissioned(node));
        allowed.map(|node| (node.as_str(), self.zone_of(node)))
    }

    /// The zones that a database of the archive demands.
    fn zones_of(&self, name: &str) -> Option<&ZoneCopies> {
        match self.places.of(name) {
            Some(place) => place.zones(),
            None => self.cluster.as_ref(),
        }
    }

    /// The zones that one database of the archive demands. Refuses what these nodes cannot meet, and a number of copies that
    /// contradicts the zones.
    pub(crate) fn check_database(
        &self,
        name: &str,
        nodes: &[String],
        copies: Option<usize>,
    ) -> Result<Option<&ZoneCopies>> {
        self.check_allowed(nodes)?;
        let zones = self.zones_of(name);
        if let Some(zones) = zones
            && let Some(why) = zones.unmet(&self.allowed(nodes))
        {
            return Err(cannot_be_met(&format!("the placement {zones} of {name}"), &why));
        }
        // What is asked for this database alone counts more than what is asked for all.
        let is_general = self.places.of(name).is_none_or(|place| self.places.for_all() == Some(place));
        contradiction(copies, zones.filter(|_| is_general))?;
        Ok(zones)
    }

    /// Refuses nodes none of which may hold copies.
    fn check_allowed(&self, nodes: &[String]) -> Result<()> {
        if nodes.is_empty() || self.allowed(nodes).next().is_some() {
            return Ok(());
        }
        Err(Failure::refused(
            Code::new("CC-R65"),
            "every node is marked as decommissioned (decom), and may hold no copies",
            "Remove the attribute decom from the documents of nodes in _nodes that are to hold copies: \
             /_node/_local/_nodes/NODENAME.",
        ))
    }

    /// Refuses what these nodes cannot meet, and a number of copies that contradicts the zones.
    pub(crate) fn check(&self, nodes: &[String], copies: Option<usize>) -> Result<()> {
        if let Some(stranger) = self.nodes.keys().find(|name| !nodes.contains(name)) {
            return Err(wrong_zone(format!("{stranger} is not one of the nodes")));
        }
        self.check_allowed(nodes)?;
        let asked = self.places.zones().map(|(pattern, zones)| {
            let pattern = pattern.map_or_else(String::new, |pattern| format!("{pattern}="));
            (format!("--place '{pattern}{zones}'"), zones)
        });
        let of_cluster = self.of_cluster().map(|zones| (format!("the cluster's placement {zones}"), zones));
        for (what, zones) in asked.chain(of_cluster) {
            if let Some(why) = zones.unmet(&self.allowed(nodes)) {
                return Err(cannot_be_met(&what, &why));
            }
        }
        contradiction(copies, self.places.for_all().map_or(self.cluster.as_ref(), Where::zones))
    }

    /// Groups of nodes (by number) that get copies of a database, which has so many copies in the archive.
    pub(crate) fn groups(
        &self,
        name: &str,
        archived: usize,
        copies: Option<usize>,
        nodes: &[String],
    ) -> Vec<Group> {
        let numbers = |of: &dyn Fn(&str) -> bool| -> Vec<u16> {
            let numbered = nodes.iter().enumerate().filter(|(_, node)| of(node));
            numbered.map(|(i, _)| i as u16).collect()
        };
        let is_allowed = |node: &str| !self.is_decommissioned(node);
        if let Some(zones) = self.zones_of(name) {
            let group = |(zone, copies): (&str, usize)| Group {
                nodes: numbers(&|node| is_allowed(node) && self.zone_of(node) == Some(zone)),
                copies,
            };
            return zones.iter().map(group).collect();
        }
        let nodes = numbers(&is_allowed);
        let copies = copies.unwrap_or(archived).clamp(1, nodes.len().max(1));
        vec![Group { nodes, copies }]
    }
}

/// Refuses a number of copies that is not that of the zones: CouchDB would not regard it.
fn contradiction(copies: Option<usize>, zones: Option<&ZoneCopies>) -> Result<()> {
    let Some((copies, zones)) = copies.zip(zones).filter(|(copies, zones)| *copies != zones.copies()) else {
        return Ok(());
    };
    Err(Failure::refused(
        Code::new("CC-R63"),
        format!(
            "--copies {copies} is not the number of copies that the placement {zones} makes, {}",
            zones.copies()
        ),
        format!(
            "Omit --copies, or say with --place how many copies go to which zone. To ignore zones: --place any --copies {copies}."
        ),
    ))
}

/// The refusal of a placement that nodes cannot meet.
fn cannot_be_met(what: &str, why: &str) -> Failure {
    Failure::refused(
        Code::new("CC-R62"),
        format!("{what} cannot be met: {why}"),
        "Give every node its zone (in a cluster: the attribute zone of its document, /_node/_local/_nodes/NODENAME; with \
         --offline: --zone NODENAME=ZONE), or choose where copies go with --place; --place any ignores zones.",
    )
}

fn wrong_zone(problem: String) -> Failure {
    Failure::refused(
        Code::new("CC-R64"),
        problem,
        "Give each node once as --zone NODENAME=ZONE, with its complete name, for example --zone couchdb@db1.example.com=z1.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (1..=n).map(|i| format!("n{i}@h")).collect()
    }

    /// Two nodes in `z1`, the others in `z2`.
    fn placement(places: &[&str], cluster: Option<&str>, nodes: &[String]) -> Placement {
        let texts: Vec<String> = places.iter().map(ToString::to_string).collect();
        let mut placement = Placement::chosen(Places::parse(&texts).unwrap(), &[], false).unwrap();
        let facts = nodes.iter().enumerate().map(|(i, node)| {
            let zone = Some(if i < 2 { "z1" } else { "z2" }.to_owned());
            (node.clone(), NodeFacts { zone, decommissioned: false })
        });
        placement.learn(cluster.map(|text| ZoneCopies::parse(text).unwrap()), facts.collect());
        placement
    }

    fn group(nodes: &[u16], copies: usize) -> Group {
        Group { nodes: nodes.to_vec(), copies }
    }

    #[test]
    fn the_cluster_s_placement_counts_unless_another_is_given() {
        let nodes = names(4);
        let placement = placement(&["team/*=z1:2", "free=any"], Some("z1:1,z2:2"), &nodes);
        let groups = |name: &str, copies| placement.groups(name, 3, copies, &nodes);
        assert_eq!(groups("x", None), [group(&[0, 1], 1), group(&[2, 3], 2)]);
        assert_eq!(groups("team/a", None), [group(&[0, 1], 2)]);
        assert_eq!(groups("free", None), [group(&[0, 1, 2, 3], 3)]);
        assert_eq!(groups("free", Some(9)), [group(&[0, 1, 2, 3], 4)]);
        placement.check(&nodes, None).unwrap();
    }

    #[test]
    fn a_decommissioned_node_gets_nothing() {
        let nodes = names(4);
        let mut placement = placement(&[], Some("z1:1,z2:1"), &nodes);
        for name in ["n1@h", "n4@h"] {
            placement.nodes.get_mut(name).unwrap().decommissioned = true;
        }
        assert_eq!(placement.groups("x", 3, None, &nodes), [group(&[1], 1), group(&[2], 1)]);
        placement.cluster = None;
        assert_eq!(placement.groups("x", 3, None, &nodes), [group(&[1, 2], 2)]);
        placement.cluster = Some(ZoneCopies::parse("z1:2").unwrap());
        assert!(placement.check(&nodes, None).is_err());
        placement.nodes.values_mut().for_each(|facts| facts.decommissioned = true);
        assert_eq!(placement.check(&nodes, None).unwrap_err().code().to_string(), "CC-R65");
    }

    #[test]
    fn what_cannot_be_met_is_refused() {
        let nodes = names(4);
        let code = |places: &[&str], cluster, copies| {
            let checked = placement(places, cluster, &nodes).check(&nodes, copies);
            checked.map_err(|failure| failure.code().to_string())
        };
        assert_eq!(code(&[], Some("z1:3"), None), Err("CC-R62".into()));
        assert_eq!(code(&["any"], Some("z1:3"), None), Ok(()));
        assert_eq!(code(&["x=any"], Some("z1:3"), None), Err("CC-R62".into()));
        assert_eq!(code(&["x=z9:1"], None, None), Err("CC-R62".into()));
        assert_eq!(code(&[], Some("z1:1,z2:1"), Some(3)), Err("CC-R63".into()));
        assert_eq!(code(&[], Some("z1:1,z2:1"), Some(2)), Ok(()));
        assert_eq!(code(&["any"], Some("z1:1,z2:1"), Some(3)), Ok(()));
        assert_eq!(code(&["z1:2"], Some("z1:1,z2:1"), Some(3)), Err("CC-R63".into()));
        assert_eq!(code(&["x=z1:2"], None, Some(3)), Ok(()));
    }

    #[test]
    fn zones_given_for_stopped_nodes() {
        let chosen = |zones: &[&str]| {
            let zones: Vec<String> = zones.iter().map(ToString::to_string).collect();
            Placement::chosen(Places::default(), &zones, false)
        };
        let placement = chosen(&["a@h=z1", "b@h=z=2"]).unwrap();
        assert_eq!((placement.zone_of("a@h"), placement.zone_of("b@h")), (Some("z1"), Some("z=2")));
        let nodes = ["a@h".to_owned()];
        assert_eq!(placement.check(&nodes, None).unwrap_err().code().to_string(), "CC-R64");
        for wrong in [&["a@h"][..], &["=z"], &["a@h="], &["a@h=z:1"], &["a@h=z,y"], &["a@h=z", "a@h=y"]] {
            assert_eq!(chosen(wrong).unwrap_err().code().to_string(), "CC-R64", "{wrong:?}");
        }
    }
}
