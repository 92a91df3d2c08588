//! Real object stores, each with ports, data and logs of its own.
//!
//! They go away with their values. Where one is not installed, that is said loudly and the test has nothing to do.
//!
//! A store may also be shared by all tests of a program: put it into a `static` `LazyLock`. It then lives until the program
//! ends.

mod azurite;
mod http;
mod s3;
mod seaweed;
mod server;
mod signature;
mod xml;

pub use azurite::Azurite;
pub use http::{Answer, request};
pub use s3::{Object, S3, Upload};
pub use seaweed::SeaweedFs;
