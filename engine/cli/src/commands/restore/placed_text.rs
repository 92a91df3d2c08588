//! Which node gets what, as a table for people.

use std::fmt::Write as _;

use restore::folders::NodeShare;
use restore::live::PlacementDescription;

use crate::text::sizes::{bytes, count};

/// One line for each node, with its zone if any node has one.
pub(super) fn shares_text(shares: &[NodeShare]) -> String {
    let has_zones = shares.iter().any(|share| share.zone.is_some());
    let width =
        |of: &dyn Fn(&NodeShare) -> usize, least: usize| shares.iter().map(of).max().unwrap_or(0).max(least);
    let name = width(&|share| share.node.chars().count(), "node".len());
    let zone = width(&|share| share.zone.as_deref().map_or(0, |zone| zone.chars().count()), "zone".len());
    let mut text = String::new();
    let mut line = |node: &str, of_zone: &str, databases: &str, shards: &str, size: &str| {
        let of_zone = if has_zones { format!("  {of_zone:zone$}") } else { String::new() };
        let _ = writeln!(text, "  {node:name$}{of_zone}  {databases:>9}  {shards:>8}  {size:>10}");
    };
    line("node", "zone", "databases", "shards", "new data");
    for share in shares {
        line(
            &share.node,
            share.zone.as_deref().unwrap_or("-"),
            &share.databases.to_string(),
            &share.shards.to_string(),
            &bytes(share.bytes),
        );
    }
    text
}

/// What decides where copies go on so many nodes, and what that changes.
pub(super) fn placement_text(placement: &PlacementDescription, nodes: usize) -> String {
    let mut text = String::new();
    if let Some(zones) = &placement.cluster {
        let _ = writeln!(text, "Copies follow the cluster's placement {zones}.");
    }
    if !placement.place.is_empty() {
        let _ = writeln!(text, "Copies are placed as asked for: {}.", placement.place.join(" "));
    }
    if placement.kept > 0 && nodes > 1 {
        let n = count(placement.kept, "database stays", "databases stay");
        let _ = writeln!(text, "{n} on the same nodes as in the archive; --even-out spreads all anew.");
    }
    if placement.other_copies > 0 {
        let n = count(placement.other_copies, "database gets", "databases get");
        let _ = writeln!(text, "{n} another number of copies than in the archive.");
    }
    if !placement.decommissioned.is_empty() {
        let _ = writeln!(
            text,
            "Decommissioned (decom), and without copies: {}.",
            placement.decommissioned.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(node: &str, zone: Option<&str>, bytes: u64) -> NodeShare {
        NodeShare { node: node.into(), zone: zone.map(str::to_owned), databases: 12, shards: 48, bytes }
    }

    #[test]
    fn a_table_with_zones_and_one_without() {
        let shares = [share("couchdb@a", Some("metro-dc"), 3 << 30), share("couchdb@long", None, 10)];
        assert_eq!(
            shares_text(&shares),
            "  node          zone      databases    shards    new data\n\
             \x20 couchdb@a     metro-dc         12        48     3.0 GiB\n\
             \x20 couchdb@long  -                12        48        10 B\n"
        );
        assert_eq!(
            shares_text(&[share("n@h", None, 0)]),
            "  node  databases    shards    new data\n  n@h          12        48         0 B\n"
        );
    }

    #[test]
    fn what_follows_is_said() {
        let placement = PlacementDescription {
            cluster: Some("z1:1".into()),
            place: vec!["a=any".into()],
            kept: 1,
            other_copies: 2,
            decommissioned: vec!["n@h".into()],
        };
        let text = placement_text(&placement, 2);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(!placement_text(&placement, 1).contains("--even-out"));
        assert_eq!(placement_text(&PlacementDescription::default(), 2), "");
    }
}
