//! Which nodes get the copies of restored databases: zones as CouchDB's, and about as many bytes on every node.

mod folders;
mod http;
mod live;
mod zoned;

use std::collections::BTreeMap;

/// How many copies of one range each zone holds. `zone_of` gives the zone of a node.
fn zones_of<'h>(
    holders: impl Iterator<Item = &'h str>,
    zone_of: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, usize> {
    let mut zones = BTreeMap::new();
    for holder in holders {
        *zones.entry(zone_of(holder).unwrap_or_else(|| "none".to_owned())).or_default() += 1;
    }
    zones
}

/// `z1:2,z2:1` as numbers of copies by zone.
fn demanded(placement: &str) -> BTreeMap<String, usize> {
    let pair = |rule: &str| {
        let (zone, copies) = rule.split_once(':').expect("ZONE:COPIES");
        (zone.to_owned(), copies.parse().expect("a number"))
    };
    placement.split(',').map(pair).collect()
}
