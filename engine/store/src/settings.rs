//! How stores are reached.

use std::path::PathBuf;

use serde::Deserialize;

use crate::limits::Rate;

/// How stores are reached: what `[store]` in the cluster file and the command line say.
///
/// What is not set here comes from the environment variables that the stores' own tools use.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the service, for example `https://minio.example.com:9000`.
    pub endpoint: Option<String>,
    /// Region, for S3.
    pub region: Option<String>,
    /// Whether the bucket is part of the path (`true`, the default with an endpoint) or of the host name, for S3.
    pub path_style: Option<bool>,
    /// PEM file with certificate authorities that are trusted in addition to those of the machine.
    pub ca: Option<PathBuf>,
    /// Name of the profile in the AWS configuration files.
    pub profile: Option<String>,
    /// Storage account, for Azure.
    pub account: Option<String>,
    /// Most bytes a second that are sent or received.
    pub limit_rate: Option<Rate>,
    /// Most requests a second.
    pub limit_requests: Option<u32>,
}
