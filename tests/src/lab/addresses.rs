//! Loopback addresses that nobody else uses.

use std::net::{Ipv4Addr, TcpListener};
use std::process;

use crate::Result;

/// The port on which CouchDB listens, on every address.
pub(super) const PORT: u16 = 5984;

/// The addresses 127.0.N.1 to 127.0.N.250, for as long as this value lives. Other tests, also those of other processes,
/// get others.
#[derive(Debug)]
pub struct AddressBlock {
    /// The N.
    pub number: u8,
    /// Holds the block: nobody else can listen there.
    _claim: TcpListener,
}

impl AddressBlock {
    /// Takes a block.
    ///
    /// Fails where all are taken.
    pub fn claim() -> Result<Self> {
        let first = process::id() as u8;
        for i in 0..=u8::MAX {
            let number = first.wrapping_add(i);
            // The low ones are for people.
            if number < 20 {
                continue;
            }
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, 0, number, 254), PORT)) {
                return Ok(Self { number, _claim: claim });
            }
        }
        Err("all loopback addresses 127.0.N.254 are taken".into())
    }

    /// An address of the block.
    pub fn address(&self, i: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, self.number, i)
    }

    /// The name of the node on that address. Its first half is unique on this machine: Erlang's port mapper knows nodes
    /// by that alone.
    pub fn node_name(&self, i: u8) -> String {
        format!("couchdb{}x{i}@{}", self.number, self.address(i))
    }
}
