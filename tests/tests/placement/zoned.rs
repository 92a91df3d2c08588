//! A running cluster of four nodes in two zones.

use std::collections::BTreeMap;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Http, Size, encode, wait_for};
use couchcopy_tests::live::{Plan, Reach, Site};
use serde_json::{Value, json};

use super::{demanded, zones_of};

/// A cluster whose first two nodes are in `z1`, the others in `z2`.
pub(crate) struct Zoned {
    pub(crate) site: Site,
}

/// The zone of a node, by its number.
fn zone(i: usize) -> &'static str {
    if i < 2 { "z1" } else { "z2" }
}

impl Zoned {
    /// The cluster, with this `[cluster] placement` on every node. Where no CouchDB is installed, says so.
    pub(crate) fn start(placement: &str) -> Result<Option<Self>> {
        let Some(site) = Site::start(Plan { size: Size { nodes: 4, q: 2, n: 3 }, reach: Reach::Here })?
        else {
            return Ok(None);
        };
        let zoned = Self { site };
        for i in 0..zoned.site.nodes.len() {
            zoned.edit_member(i, &json!({"zone": zone(i), "note": "kept"}))?;
        }
        for i in 0..zoned.site.nodes.len() {
            zoned.set_placement(i, placement)?;
        }
        Ok(Some(zoned))
    }

    pub(crate) fn http(&self) -> &Http {
        self.site.http()
    }

    /// The zone of a node, by its name.
    fn zone_of(&self, name: &str) -> Option<String> {
        let i = self.site.nodes.iter().position(|node| node.name == name)?;
        Some(zone(i).to_owned())
    }

    /// Writes a node's document in `_nodes` anew, and waits until all nodes have it.
    pub(crate) fn edit_member(&self, i: usize, content: &Value) -> Result<()> {
        let path = format!("/_node/_local/_nodes/{}", encode(&self.site.nodes[i].name));
        let mut document = content.clone();
        document["_rev"] = self.http().get(&path)?["_rev"].clone();
        let rev = self.http().put(&path, &document)?["rev"].clone();
        for node in &self.site.nodes {
            wait_for("the document of a node", || Ok((node.http.get(&path)?["_rev"] == rev).then_some(())))?;
        }
        Ok(())
    }

    pub(crate) fn set_placement(&self, i: usize, placement: &str) -> Result<()> {
        self.site.nodes[i].http.put("/_node/_local/_config/cluster/placement", &json!(placement)).map(|_| ())
    }

    pub(crate) fn remove_placement(&self, i: usize) -> Result<()> {
        self.site.nodes[i].http.delete("/_node/_local/_config/cluster/placement").map(|_| ())
    }

    /// The copies of each range of a database by zone, as CouchDB tells them.
    fn zones(&self, db: &str) -> Result<Vec<BTreeMap<String, usize>>> {
        let shards = self.http().get(&format!("/{}/_shards", encode(db)))?;
        let ranges = shards["shards"].as_object().ok_or("no shards")?;
        let of_range = |holders: &Value| {
            let holders = holders.as_array().into_iter().flatten().filter_map(Value::as_str);
            zones_of(holders, |name| self.zone_of(name))
        };
        Ok(ranges.values().map(of_range).collect())
    }

    /// Fails unless every range of a database has just these copies, on nodes that have its files.
    pub(crate) fn check_database(&self, db: &str, placement: &str) -> Result<()> {
        for zones in self.zones(db)? {
            assert_eq!(zones, demanded(placement), "{db}");
        }
        Ok(())
    }

    /// Fails unless every database has just these copies.
    pub(crate) fn check(&self, placement: impl Fn(&str) -> &'static str) -> Result<()> {
        let names: Vec<String> = serde_json::from_value(self.http().get("/_all_dbs")?)?;
        assert!(names.len() > 10, "{names:?}");
        names.iter().try_for_each(|name| self.check_database(name, placement(name)))
    }

    /// Fails unless every node has every document in `_nodes` as it was written.
    pub(crate) fn check_members(&self) -> Result<()> {
        for node in &self.site.nodes {
            let told = node.http.get("/_node/_local/_nodes/_all_docs?include_docs=true")?;
            let rows = told["rows"].as_array().ok_or("no rows")?;
            let is_kept = |row: &Value| {
                let zone = self.zone_of(row["id"].as_str().unwrap_or_default());
                zone.is_some()
                    && row["doc"]["zone"].as_str() == zone.as_deref()
                    && row["doc"]["note"] == "kept"
            };
            if rows.len() != self.site.nodes.len() || !rows.iter().all(is_kept) {
                return Err(format!("{} has other members: {told}", node.name).into());
            }
        }
        Ok(())
    }
}
