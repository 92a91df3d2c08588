//! Damaged `.couch` files: cut, flipped, overwritten. Reading ends in an error or in what was there, never in a panic, a
//! hang or absurd memory, and what the check calls whole is the original.

mod cut;
mod flip;
mod walk;
