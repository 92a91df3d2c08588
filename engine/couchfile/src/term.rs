//! Erlang's external term format, as far as `.couch` files use it.
//!
//! Source: the "External Term Format" chapter of Erlang/OTP's ERTS user's guide; CouchDB encodes with
//! `minor_version 1`, so atoms are tag 100 and floats tag 70.
//!
//! Terms are never turned into a tree of values. [`Decoder`] walks the bytes once, in order, without recursion,
//! so that neither depth nor a claimed length can exhaust the stack or the memory.

mod decoder;
mod encoder;

pub use decoder::{Decoder, ListHead, Token};
pub use encoder::Encoder;

/// First byte of every encoded term.
pub const VERSION: u8 = 131;

/// Tags of the external term format.
pub(crate) mod tag {
    pub(crate) const FLOAT: u8 = 70;
    pub(crate) const COMPRESSED: u8 = 80;
    pub(crate) const SMALL_INTEGER: u8 = 97;
    pub(crate) const INTEGER: u8 = 98;
    pub(crate) const FLOAT_TEXT: u8 = 99;
    pub(crate) const ATOM: u8 = 100;
    pub(crate) const SMALL_TUPLE: u8 = 104;
    pub(crate) const LARGE_TUPLE: u8 = 105;
    pub(crate) const NIL: u8 = 106;
    pub(crate) const STRING: u8 = 107;
    pub(crate) const LIST: u8 = 108;
    pub(crate) const BINARY: u8 = 109;
    pub(crate) const SMALL_BIG: u8 = 110;
    pub(crate) const LARGE_BIG: u8 = 111;
    pub(crate) const SMALL_ATOM: u8 = 115;
    pub(crate) const MAP: u8 = 116;
    pub(crate) const ATOM_UTF8: u8 = 118;
    pub(crate) const SMALL_ATOM_UTF8: u8 = 119;
}
