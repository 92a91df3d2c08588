//! One CouchDB node as couchcopy sees it: its files, its service, its HTTP interface.
//!
//! Each part stands behind a small trait or type of its own: [`NodeFiles`] reads and changes the files in the node's data
//! directory, on this machine directly and elsewhere with the node's own `tar`, `find`, `mv` and the like; [`NodeService`]
//! starts and stops CouchDB; [`Http`] talks to it, through a tunnel if it listens on its own machine only.
//!
//! Everything here blocks; callers with several nodes use a thread for each.

mod error;
mod files;
mod http;
mod node;
mod service;
mod way;

pub use error::{NodeError, Result, is_of_the_way};
pub use files::local::{LocalFiles, rename_to_free};
pub use files::odd::{OddEntry, Oddity};
pub use files::remote::RemoteFiles;
pub use files::rests::{RestOf, TakeRest};
pub use files::unpack::{Modes, Owner, Unpacking};
pub use files::{
    FileEntry, FileKind, FileStat, FoundFile, NodeFiles, NodeStreams, PackedFile, Packing, TakeFile,
};
pub use http::api::{DatabaseInfo, ListedMap, Membership, Version, Welcome};
pub use http::copies::CopyInfo;
pub use http::members::Member;
pub use http::presence::Presence;
pub use http::tunnel::Tunnel;
pub use http::{Answer, Body, Credentials, Endpoint, Foreign, Http, encode};
pub use node::{Node, TunnelMode, files_of, http_of};
pub use reqwest::Method;
pub use service::{NodeService, PluginService};
pub use way::{Way, blocking_runtime};
