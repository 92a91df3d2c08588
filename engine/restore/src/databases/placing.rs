//! Where CouchDB places the copies of a database that it creates.

use node::Http;
use outcome::{Code, Failure, Result};

use super::target::{Found, Shape};
use crate::placement::{Placement, Places, Where, ZoneCopies};
use crate::preflight::placement::ToldPlacement;
use crate::selection::Rename;

/// What decides where the copies of new databases go.
pub(super) struct Creation {
    /// What was asked for, and what the cluster demands, if its node tells that.
    placement: Placement,
    /// All nodes of the cluster; `None` if its node does not tell.
    nodes: Option<Vec<String>>,
    /// Whether the cluster has a placement of its own.
    follows_zones: bool,
    /// What is wrong with the cluster's own placement.
    problem: Option<String>,
}

/// What the user should know if zones are asked for a database that exists.
pub(super) fn warning(places: &Places, names: &Rename, found: &Found) -> Option<String> {
    let zones = places.of(&names.from).filter(|_| *found != Found::Nothing)?.zones()?;
    Some(format!("{} exists already, and stays on its nodes, although --place asks for {zones}", names.to))
}

impl Creation {
    /// Asks the node through which databases are restored. CouchDB needs the same setting on every node.
    pub(super) fn learn(http: &Http, places: &Places) -> Result<Self> {
        let mut placement = Placement::chosen(places.clone(), &[], false)?;
        // A proxy in front of CouchDB may let nobody ask.
        let Ok(told) = ToldPlacement::of(http) else {
            return Ok(Self { placement, nodes: None, follows_zones: false, problem: None });
        };
        let facts = told.all_facts();
        let nodes = facts.keys().cloned().collect();
        let (zones, problem) = match told.zones() {
            Ok(zones) => (zones, None),
            Err(problem) => (None, Some(problem)),
        };
        let follows_zones = zones.is_some() || problem.is_some();
        placement.learn(zones, facts);
        Ok(Self { placement, nodes: Some(nodes), follows_zones, problem })
    }

    /// Decides how many copies a database gets, and in which zones, under the name that it has in the archive. Returns what the
    /// user should know.
    ///
    /// Fails if the nodes cannot meet that, or CouchDB would do something else.
    pub(super) fn settle(
        &self,
        name: &str,
        shape: &mut Shape,
        copies: Option<usize>,
    ) -> Result<Option<String>> {
        let asked = self.placement.places().of(name);
        let Some(nodes) = &self.nodes else {
            let zones = asked.and_then(Where::zones);
            shape.n = zones.map_or(shape.n, ZoneCopies::copies);
            shape.zones = zones.map(ToString::to_string);
            return Ok(Some(format!(
                "the node does not tell its `[cluster] placement` and the zones of the nodes: CouchDB may create {name} with other \
                 copies"
            )));
        };
        if asked == Some(&Where::Any) && self.follows_zones {
            return Err(Failure::refused(
                Code::new("CC-R66"),
                format!("CouchDB creates {name} itself, and always follows its `[cluster] placement`"),
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
        let zones = self.placement.check_database(name, nodes, copies)?;
        let groups = self.placement.groups(name, shape.n, copies, nodes);
        shape.n = groups.iter().map(|group| group.copies).sum();
        shape.zones = zones.map(ToString::to_string);
        Ok(None)
    }
}
