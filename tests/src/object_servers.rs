//! Object stores, each with ports, data and logs of its own: real ones, an emulator of Azure, and one of Google that is part of
//! the tests.
//!
//! They go away with their values. Where one is not installed, that is said loudly and the test has nothing to do.
//!
//! A store may also be shared by all tests of a program: put it into a `static` `LazyLock`. It then lives until the program
//! ends.

mod azurite;
mod exchange;
mod google;
mod http;
mod listener;
mod rados_gateway;
mod refusing;
mod s3;
mod seaweed;
pub(crate) mod server;
mod signature;
mod time;
mod xml;

pub use azurite::Azurite;
pub use google::{Google, GoogleRequest};
pub use http::{Answer, request};
pub use rados_gateway::RadosGateway;
pub use refusing::RefusingServer;
pub use s3::{Object, S3, Upload};
pub use seaweed::SeaweedFs;
