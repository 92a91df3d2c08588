//! Clients of the services.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use crate::error::Said;
use crate::location::Service;
use crate::profile;
use crate::settings::Settings;
use crate::uploads::Signing;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(15);
/// The longest that a request may take, its body included.
const REQUEST: Duration = Duration::from_secs(900);
/// How often a failed request is made again, and for how long. The store's own clients wait as long.
const RETRIES: usize = 8;
const RETRY_FOR: Duration = Duration::from_secs(180);

/// What is asked of a service.
pub(crate) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}

/// A client of one bucket.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) objects: Arc<dyn Objects>,
    /// The same, which makes each request once: for requests that leave something behind each time they succeed.
    pub(crate) once: Arc<dyn Objects>,
    /// Signs addresses, if the service lists unfinished uploads in S3's way.
    pub(crate) signer: Option<Signing>,
    pub(crate) options: Settings,
}

impl Client {
    /// Connects to a bucket. No request is made.
    pub(crate) fn new(service: Service, bucket: &str, settings: &Settings) -> Result<Self, Said> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(15),
                base: 2.0,
            },
            max_retries: RETRIES,
            retry_timeout: RETRY_FOR,
        };
        let never = RetryConfig { max_retries: 0, ..retry.clone() };
        let options = settings.clone();
        Ok(match service {
            Service::S3 => {
                let client = Arc::new(s3(bucket, settings, retry)?);
                let once = Arc::new(s3(bucket, settings, never)?);
                Self { objects: Arc::clone(&client) as _, once, signer: Some(Signing::new(client)), options }
            }
            Service::Google => {
                let (objects, once) = (google(bucket, settings, retry)?, google(bucket, settings, never)?);
                Self { objects: Arc::new(objects), once: Arc::new(once), signer: None, options }
            }
            Service::Azure => {
                let (objects, once) = (azure(bucket, settings, retry)?, azure(bucket, settings, never)?);
                Self { objects: Arc::new(objects), once: Arc::new(once), signer: None, options }
            }
        })
    }
}

fn client_options(settings: &Settings) -> Result<ClientOptions, Said> {
    let plain = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"))
        || std::env::var("AWS_ENDPOINT_URL").is_ok_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(CONNECT)
        .with_timeout(REQUEST)
        .with_user_agent(object_store::HeaderValue::from_static(concat!(
            "couchcopy/",
            env!("CARGO_PKG_VERSION")
        )));
    if let Some(file) = &settings.ca {
        let wrong = |why: String| {
            Said::Settings(format!("the certificates in {} cannot be used: {why}", file.display()))
        };
        let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("it holds none".to_owned()));
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn s3(bucket: &str, settings: &Settings, retry: RetryConfig) -> Result<object_store::aws::AmazonS3, Said> {
    // Without `from_env`, the identities of pods and instances would be ignored.
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(client_options(settings)?)
        .with_retry(retry)
        .with_bucket_name(bucket);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let is_elsewhere = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some();
    if let Some(path_style) = settings.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    } else if is_elsewhere && std::env::var_os("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").is_none() {
        builder = builder.with_virtual_hosted_style_request(false);
    }
    let has_keys = builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId).is_some();
    let profile = profile::chosen(settings.profile.as_deref(), has_keys);
    if let Some(profile) = profile {
        let found = profile::Profile::read(&profile)?;
        if let (None, Some(region)) = (builder.get_config_value(&AmazonS3ConfigKey::Region), &found.region) {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = found.endpoint.as_ref().filter(|_| !is_elsewhere) {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(provider) = found.credentials() {
            builder = builder.with_credentials(provider);
        }
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    built(builder.build())
}

fn google(
    bucket: &str,
    settings: &Settings,
    retry: RetryConfig,
) -> Result<object_store::gcp::GoogleCloudStorage, Said> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_client_options(client_options(settings)?)
        .with_retry(retry)
        .with_bucket_name(bucket);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    built(builder.build())
}

fn azure(
    container: &str,
    settings: &Settings,
    retry: RetryConfig,
) -> Result<object_store::azure::MicrosoftAzure, Said> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_client_options(client_options(settings)?)
        .with_retry(retry)
        .with_container_name(container);
    if let Some(account) = &settings.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    built(builder.build())
}

fn built<T>(client: Result<T, object_store::Error>) -> Result<T, Said> {
    client.map_err(|error| match crate::error::said(&error) {
        Said::Other(text) => Said::Settings(text),
        said => said,
    })
}
