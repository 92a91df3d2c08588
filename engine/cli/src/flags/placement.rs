//! Which nodes get the copies of restored databases.

use clap::Args;
use outcome::Result;
use restore::placement::{Placement, Places};

/// Where copies go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Placement")]
pub(crate) struct PlacementFlags {
    /// Which zones get how many copies of every database, or of those that match PATTERN. Can be repeated.
    ///
    /// ZONES is written as CouchDB's `[cluster] placement`, for example z1:2,z2:1, or is `any`: any nodes, whatever their zones.
    /// If several match a database, the last one counts. Without this option, databases follow the cluster's own placement, if it
    /// has one. Copies are spread so that every node gets about as many bytes.
    #[arg(
        long = "place",
        value_name = "[PATTERN=]ZONES",
        conflicts_with_all = ["resume", "roll_back"],
        hide_short_help = true
    )]
    place: Vec<String>,

    /// With --offline and --place: the zone of a node. Can be repeated.
    ///
    /// A running cluster knows the zones of its nodes.
    #[arg(
        long = "zone",
        value_name = "NODENAME=ZONE",
        requires_all = ["offline", "place"],
        hide_short_help = true
    )]
    zone: Vec<String>,

    /// Spread all databases anew.
    ///
    /// Without this option, a database stays on its nodes if all of them are there and hold just the copies that are asked for,
    /// unless nodes are new.
    #[arg(long, conflicts_with_all = ["resume", "roll_back", "db"], hide_short_help = true)]
    even_out: bool,
}

impl PlacementFlags {
    /// What was asked for.
    pub(crate) fn places(&self) -> Result<Places> {
        Places::parse(&self.place)
    }

    /// What was chosen for a restore of complete nodes.
    pub(crate) fn placement(&self) -> Result<Placement> {
        Placement::chosen(self.places()?, &self.zone, self.even_out)
    }
}
