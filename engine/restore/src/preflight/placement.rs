//! Checks that the nodes of a cluster agree where CouchDB is to place copies, and that this is possible.

use std::collections::BTreeMap;

use node::{Http, Member, Node, NodeError};

use super::{Learned, Proofs, Verdict};
use crate::placement::{NodeFacts, Placement, ZoneCopies};

/// What a node tells about the placement of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToldPlacement {
    /// `[cluster] placement`.
    rule: Option<String>,
    /// The nodes of the cluster.
    members: BTreeMap<String, Member>,
}

/// What a restore takes from the nodes' own placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Whether some databases follow `[cluster] placement`.
    pub(crate) rule: bool,
    /// Whether zones matter even where it is not set.
    pub(crate) zones: bool,
}

impl Default for Followed {
    fn default() -> Self {
        Self { rule: true, zones: false }
    }
}

impl Followed {
    /// What a restore with this choice takes from the nodes.
    pub(crate) fn by(placement: &Placement) -> Self {
        let places = placement.places();
        Self { rule: places.for_all().is_none(), zones: places.zones().next().is_some() }
    }
}

impl ToldPlacement {
    /// Asks a node.
    pub(crate) fn of(http: &Http) -> Result<Self, NodeError> {
        Ok(Self { rule: http.config("cluster", "placement")?, members: http.members()? })
    }

    /// The zones that `[cluster] placement` demands. The error says what is wrong with it.
    pub(crate) fn zones(&self) -> Result<Option<ZoneCopies>, String> {
        self.rule.as_deref().map(ZoneCopies::parse).transpose()
    }

    /// What decides about these nodes.
    pub(crate) fn facts<'n>(&self, names: impl Iterator<Item = &'n str>) -> BTreeMap<String, NodeFacts> {
        let facts = |name: &str| {
            let member = self.members.get(name).cloned().unwrap_or_default();
            NodeFacts { zone: member.zone, decommissioned: member.decommissioned }
        };
        names.map(|name| (name.to_owned(), facts(name))).collect()
    }

    /// What decides about all nodes of the cluster.
    pub(crate) fn all_facts(&self) -> BTreeMap<String, NodeFacts> {
        self.facts(self.members.keys().map(String::as_str))
    }

    fn shown_rule(&self) -> String {
        self.rule.as_ref().map_or_else(|| "not set".to_owned(), |rule| format!("{rule:?}"))
    }

    /// The command that gives another node the same `[cluster] placement`.
    fn command_for(&self, other: &Node) -> String {
        let (user, url) = (other.http.user().unwrap_or("admin"), other.http.url());
        let url = format!("{url}/_node/_local/_config/cluster/placement");
        match &self.rule {
            Some(rule) => {
                let value = serde_json::Value::from(rule.as_str()).to_string().replace('\'', "'\\''");
                format!("curl -u {user} -X PUT '{url}' -d '{value}'")
            }
            None => format!("curl -u {user} -X DELETE '{url}'"),
        }
    }

    /// Whether another node's `[cluster] placement` demands the same.
    fn has_rule_of(&self, other: &Self) -> bool {
        match (self.zones(), other.zones()) {
            (Ok(Some(one)), Ok(Some(other))) => one.demands_same(&other),
            _ => self.rule == other.rule,
        }
    }
}

/// Checks the placement of the nodes that answer.
pub(super) fn prove(nodes: &[Node], learned: &[Learned], followed: Followed, proofs: &mut Proofs) {
    let told: Vec<(&Node, &ToldPlacement)> = nodes
        .iter()
        .zip(learned)
        .filter_map(|(node, learned)| Some((node, learned.placement.as_ref()?)))
        .collect();
    let Some(((node, first), others)) = told.split_first() else { return };
    let names = || nodes.iter().filter_map(|node| node.id.name.as_deref());
    let rule_verdict = if followed.rule { Verdict::Problem } else { Verdict::Warning };
    let different = others.iter().find(|(_, other)| !other.has_rule_of(first));
    if let Some((other, of_other)) = different {
        proofs.add(
            other,
            "placement",
            rule_verdict,
            format!(
                "its `[cluster] placement` is {}, that of {} is {}",
                of_other.shown_rule(),
                node.shown(),
                first.shown_rule()
            ),
            Some(format!(
                "CouchDB needs the same setting on every node, and uses that of the node that creates a database. Give --place \
                 for all databases, or make the settings the same, for example: {}",
                first.command_for(other)
            )),
        );
    }
    let zones = match first.zones() {
        Ok(zones) => zones,
        Err(problem) => {
            proofs.add(
                node,
                "placement",
                rule_verdict,
                format!("its `[cluster] placement` is {}: {problem}", first.shown_rule()),
                Some(
                    "CouchDB cannot create databases with it as it should. Set it to ZONE:COPIES,ZONE:COPIES on every node, or \
                     give --place for all databases."
                        .into(),
                ),
            );
            return;
        }
    };
    let facts = first.facts(names());
    let zones_matter = followed.zones || zones.is_some() && followed.rule;
    if !agree_on_members(node, &facts, others, zones_matter, proofs) || different.is_some() {
        return;
    }
    for (name, _) in facts.iter().filter(|(_, facts)| facts.decommissioned) {
        proofs.warning(
            node,
            "placement",
            format!("{name} is marked as decommissioned (decom): it gets no copies"),
            "If it is to hold databases, remove the attribute decom from its document: /_node/_local/_nodes/NODENAME.",
        );
    }
    let Some(zones) = zones else { return };
    let allowed = facts.iter().filter(|(_, facts)| !facts.decommissioned);
    let allowed = allowed.map(|(name, facts)| (name.as_str(), facts.zone.as_deref()));
    match zones.unmet(&allowed) {
        None => proofs.fine(node, "placement", zones.to_string()),
        Some(why) => proofs.add(
            node,
            "placement",
            rule_verdict,
            format!("`[cluster] placement` is {zones}, but {why}"),
            Some(
                "CouchDB creates databases with fewer copies, or none at all. Give nodes their zones (the attribute zone of the \
                 documents /_node/_local/_nodes/NODENAME), correct the setting on every node, or choose where copies go with \
                 --place; --place any ignores zones."
                    .into(),
            ),
        ),
    }
}

/// Checks that the other nodes' lists of nodes say the same about these nodes, as far as it matters.
fn agree_on_members(
    first: &Node,
    facts: &BTreeMap<String, NodeFacts>,
    others: &[(&Node, &ToldPlacement)],
    zones_matter: bool,
    proofs: &mut Proofs,
) -> bool {
    for (node, told) in others {
        let told = told.facts(facts.keys().map(String::as_str));
        for (name, known) in facts {
            let other = told.get(name).cloned().unwrap_or_default();
            let problem = if zones_matter && other.zone != known.zone {
                let shown = |facts: &NodeFacts| {
                    facts
                        .zone
                        .as_ref()
                        .map_or_else(|| "in no zone".to_owned(), |zone| format!("in the zone {zone:?}"))
                };
                let (here, there) = (shown(&other), shown(known));
                format!(
                    "its list of nodes says that {name} is {here}, that of {} says {there}",
                    first.shown()
                )
            } else if other.decommissioned != known.decommissioned {
                format!(
                    "its list of nodes and that of {} differ on whether {name} is decommissioned (decom)",
                    first.shown()
                )
            } else {
                continue;
            };
            proofs.problem(
                node,
                "placement",
                problem,
                "The nodes send each other changes of these documents (/_node/_local/_nodes/NODENAME): try again in a moment. If \
                 it stays so, check that the nodes see each other.",
            );
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::unreached::node;

    /// What three nodes tell: their rules, and the zones (`-`: none, `!`: decommissioned) in which they believe all three to be.
    fn verdicts(told: &[(Option<&str>, [&str; 3])], followed: Followed) -> Vec<(Verdict, String)> {
        let names = ["a@h", "b@h", "c@h"];
        let nodes: Vec<Node> = names.iter().map(|name| node(name, Path::new("/nowhere"))).collect();
        let learned: Vec<Learned> = told
            .iter()
            .map(|(rule, zones)| {
                let member = |(name, zone): (&&str, &&str)| {
                    let zone = (!["-", "!"].contains(zone)).then(|| (*zone).to_owned());
                    let member = Member { decommissioned: zone.is_none(), zone };
                    ((*name).to_owned(), member)
                };
                let mut members: BTreeMap<String, Member> = names.iter().zip(zones).map(member).collect();
                for (name, zone) in names.iter().zip(zones) {
                    if let Some(member) = members.get_mut(*name) {
                        member.decommissioned = *zone == "!";
                    }
                }
                let placement = Some(ToldPlacement { rule: rule.map(str::to_owned), members });
                Learned { placement, ..Learned::default() }
            })
            .collect();
        let mut proofs = Proofs::default();
        prove(&nodes, &learned, followed, &mut proofs);
        proofs
            .proofs
            .into_iter()
            .map(|proof| (proof.verdict, format!("{}: {}", proof.node, proof.found)))
            .collect()
    }

    #[test]
    fn nodes_that_agree() {
        let zones = ["z1", "z1", "z2"];
        let told = [(Some("z1:2,z2:1"), zones), (Some("z2:1,z1:2"), zones), (Some("z1:2,z2:1"), zones)];
        assert_eq!(verdicts(&told, Followed::default()), [(Verdict::Fine, "a@h: z1:2,z2:1".into())]);
        let told = [(None, zones), (None, ["-", "-", "-"]), (None, zones)];
        assert_eq!(verdicts(&told, Followed::default()), []);
    }

    #[test]
    fn rules_that_differ() {
        let zones = ["z1", "z1", "z2"];
        let told = [(Some("z1:2"), zones), (Some("z1:2"), zones), (None, zones)];
        let found = verdicts(&told, Followed::default());
        let text = "c@h: its `[cluster] placement` is not set, that of a@h is \"z1:2\"";
        assert_eq!(found, [(Verdict::Problem, text.into())]);
        let found = verdicts(&told, Followed { rule: false, zones: false });
        assert_eq!(found, [(Verdict::Warning, text.into())]);
    }

    #[test]
    fn lists_that_differ() {
        let (zones, others) = (["z1", "z1", "z2"], ["z1", "-", "z2"]);
        let told = [(Some("z1:1"), zones), (Some("z1:1"), zones), (Some("z1:1"), others)];
        let text = "c@h: its list of nodes says that b@h is in no zone, that of a@h says in the zone \"z1\"";
        assert_eq!(verdicts(&told, Followed::default()), [(Verdict::Problem, text.into())]);
        // Nobody wants to know the zones.
        let found = verdicts(&told, Followed { rule: false, zones: false });
        assert_eq!(found, [(Verdict::Fine, "a@h: z1:1".into())]);
        assert_eq!(verdicts(&told, Followed { rule: false, zones: true }), [(Verdict::Problem, text.into())]);
        let told = [(None, zones), (None, ["z1", "!", "z2"]), (None, zones)];
        let found = verdicts(&told, Followed::default());
        assert_eq!(found[0].0, Verdict::Problem);
        assert!(found[0].1.contains("differ on whether b@h is decommissioned"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_met_or_read() {
        let zones = ["z1", "z1", "!"];
        for (rule, why) in [
            ("z1:3", "has 2 of the 3 nodes"),
            ("z1:2,z2:1", "no node is in the zone \"z2\""),
            ("z1", "\"z1\" is not ZONE:COPIES"),
            ("", "it names no zone"),
            ("z1:1,z1:1", "twice"),
        ] {
            let found = verdicts(&[(Some(rule), zones); 3], Followed::default());
            let problem = found.iter().find(|(verdict, _)| *verdict == Verdict::Problem).unwrap();
            assert!(problem.1.contains(why), "{found:?}");
            let found = verdicts(&[(Some(rule), zones); 3], Followed { rule: false, zones: false });
            assert!(found.iter().all(|(verdict, _)| *verdict == Verdict::Warning), "{found:?}");
        }
    }
}
