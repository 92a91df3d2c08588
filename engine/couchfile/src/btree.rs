//! The append-only B+trees of `.couch` files (`couch_btree`).
//!
//! A node is `{kv_node, [{Key, Value}, …]}` or `{kp_node, [{LastKey, {Ptr, Reduction, Size}}, …]}`. Children are written
//! before their parents, so every pointer leads to a lower offset: that, a bound on the depth and strictly ascending
//! keys end every walk, whatever the bytes say.

mod backwards;
mod counting;
mod cursor;
mod fault;
mod frame;
mod key;
mod loose;
mod node;
mod reduction;
mod split;
mod subtrees;

pub(crate) use counting::reduce_before;
pub(crate) use reduction::flag;
pub(crate) use split::split_keys;
pub(crate) use subtrees::{Subtree, subtrees};

pub use backwards::BackwardCursor;
pub use cursor::{Cursor, Entry};
pub use fault::{Fault, LostKeys};
pub use key::Key;
pub use loose::LooseNode;
pub use reduction::{Reduction, Sizes, TreeKind};
