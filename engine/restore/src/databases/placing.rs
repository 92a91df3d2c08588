//! Where CouchDB places the copies of a database that it creates.

use node::Http;
use outcome::{Code, Failure, Result};

use super::target::Shape;
use crate::placement::{Placement, Places, Where};
use crate::preflight::placement::ToldPlacement;

/// What decides where the copies of new databases go.
pub(super) struct Creation {
    placement: Placement,
    /// All nodes of the cluster.
    nodes: Vec<String>,
    /// Whether the cluster has a placement of its own.
    follows_zones: bool,
    /// What is wrong with the cluster's own placement.
    problem: Option<String>,
}

impl Creation {
    /// Asks the node through which databases are restored. CouchDB needs the same setting on every node.
    pub(super) fn learn(http: &Http, places: &Places) -> Result<Self> {
        let told = ToldPlacement::of(http)?;
        let facts = told.all_facts();
        let nodes = facts.keys().cloned().collect();
        let (zones, problem) = match told.zones() {
            Ok(zones) => (zones, None),
            Err(problem) => (None, Some(problem)),
        };
        let follows_zones = zones.is_some() || problem.is_some();
        let mut placement = Placement::chosen(places.clone(), &[], false)?;
        placement.learn(zones, facts);
        Ok(Self { placement, nodes, follows_zones, problem })
    }

    /// Decides how many copies a database gets, and in which zones, under the name that it has in the archive.
    ///
    /// Fails if the nodes cannot meet that, or CouchDB would do something else.
    pub(super) fn settle(&self, name: &str, shape: &mut Shape, copies: Option<usize>) -> Result<()> {
        let asked = self.placement.places().of(name);
        if asked == Some(&Where::Any) && self.follows_zones {
            return Err(Failure::refused(
                Code::new("CC-R66"),
                format!(
                    "CouchDB creates {name}, and ignores zones in no case: it has a `[cluster] placement`"
                ),
                "Omit `any`, or say with --place which zones get how many copies.",
            ));
        }
        if let (None, Some(problem)) = (asked, &self.problem) {
            return Err(Failure::refused(
                Code::new("CC-R67"),
                format!("the `[cluster] placement` by which CouchDB creates {name} is not usable: {problem}"),
                "Correct it on every node, or say with --place which zones get how many copies.",
            ));
        }
        let zones = self.placement.check_database(name, &self.nodes, copies)?;
        let groups = self.placement.groups(name, shape.n, copies, &self.nodes);
        shape.n = groups.iter().map(|group| group.copies).sum();
        shape.zones = zones.map(ToString::to_string);
        Ok(())
    }
}
