//! Clients of the services.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use serde::Deserialize;

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
/// How often a machine is asked again for its identity. A machine that has none does not answer, which takes a second each time.
const IDENTITY_RETRIES: usize = 3;

/// A client of one bucket, or of a directory.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Uploads in parts; `None` if it is a directory, whose files are not uploaded in parts.
    parts: Option<Parts>,
    /// Signs addresses, if the service lists unfinished uploads in S3's way.
    pub(crate) signer: Option<Signing>,
    pub(crate) options: Settings,
}

#[derive(Clone)]
struct Parts {
    uploads: Arc<dyn MultipartStore>,
    /// The same, which makes each request once: for requests that leave something behind each time they succeed.
    once: Arc<dyn MultipartStore>,
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
                let client = Arc::new(s3(bucket, settings, &retry)?);
                let parts = Parts { uploads: client.clone(), once: Arc::new(s3(bucket, settings, &never)?) };
                Self {
                    objects: client.clone(),
                    parts: Some(parts),
                    signer: Some(Signing::new(client)),
                    options,
                }
            }
            Service::Google => {
                let client = Arc::new(google(bucket, settings, &retry)?);
                let parts =
                    Parts { uploads: client.clone(), once: Arc::new(google(bucket, settings, &never)?) };
                Self { objects: client, parts: Some(parts), signer: None, options }
            }
            Service::Azure => {
                let client = Arc::new(azure(bucket, settings, &retry)?);
                // Nothing is left behind: parts that are not named in the end go away.
                let parts = Parts { uploads: client.clone(), once: client.clone() };
                Self { objects: client, parts: Some(parts), signer: None, options }
            }
        })
    }

    /// A directory. What is written is durable.
    pub(crate) fn folder(path: &Path) -> Result<Self, Said> {
        let objects = LocalFileSystem::new_with_prefix(path)
            .map_err(|error| Said::Settings(error.to_string()))?
            .with_fsync(true);
        Ok(Self { objects: Arc::new(objects), parts: None, signer: None, options: Settings::default() })
    }

    /// Uploads in parts.
    pub(crate) fn uploads(&self) -> Result<&dyn MultipartStore, Said> {
        Ok(&*self.parts()?.uploads)
    }

    /// Uploads in parts, each request made once.
    pub(crate) fn once(&self) -> Result<&dyn MultipartStore, Said> {
        Ok(&*self.parts()?.once)
    }

    fn parts(&self) -> Result<&Parts, Said> {
        self.parts.as_ref().ok_or_else(|| Said::Other("files are not uploaded in parts".to_owned()))
    }
}

/// Options of a client of the service at this address; without one, at the service's own.
fn client_options(settings: &Settings, endpoint: Option<&str>) -> Result<ClientOptions, Said> {
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_allow_http(is_plain)
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
    if settings.ca.is_none() && rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err(Said::NoAuthorities);
    }
    Ok(options)
}

fn s3(bucket: &str, settings: &Settings, retry: &RetryConfig) -> Result<object_store::aws::AmazonS3, Said> {
    // Without `from_env`, the identities of pods and instances would be ignored.
    let mut builder = AmazonS3Builder::from_env().with_retry(retry.clone()).with_bucket_name(bucket);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    let endpoint = |builder: &AmazonS3Builder| {
        let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
        keys.iter().find_map(|key| builder.get_config_value(key))
    };
    let is_elsewhere = endpoint(&builder).is_some();
    if let Some(path_style) = settings.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    } else if is_elsewhere && std::env::var_os("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").is_none() {
        builder = builder.with_virtual_hosted_style_request(false);
    }
    let has = |builder: &AmazonS3Builder, key| builder.get_config_value(&key).is_some();
    let has_keys = has(&builder, AmazonS3ConfigKey::AccessKeyId);
    let mut is_given = has_keys
        || has(&builder, AmazonS3ConfigKey::WebIdentityTokenFile)
        || has(&builder, AmazonS3ConfigKey::ContainerCredentialsRelativeUri)
        || has(&builder, AmazonS3ConfigKey::ContainerCredentialsFullUri)
        || is_true(builder.get_config_value(&AmazonS3ConfigKey::SkipSignature));
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
            is_given = true;
        }
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    let endpoint = endpoint(&builder);
    if is_amazon(endpoint.as_deref()) && builder.get_config_value(&AmazonS3ConfigKey::Checksum).is_none() {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    builder = builder.with_client_options(client_options(settings, endpoint.as_deref())?);
    if !is_given {
        // The variable of Amazon's own tools.
        if is_true(std::env::var("AWS_EC2_METADATA_DISABLED").ok()) {
            let text = "no access key, no profile, and AWS_EC2_METADATA_DISABLED is set";
            return Err(Said::NoCredentials(text.to_owned()));
        }
        let asking = built(builder.clone().with_retry(for_identity(retry)).build())?;
        builder = builder.with_credentials(Arc::clone(asking.credentials()));
    }
    built(builder.build())
}

fn google(
    bucket: &str,
    settings: &Settings,
    retry: &RetryConfig,
) -> Result<object_store::gcp::GoogleCloudStorage, Said> {
    let mut builder =
        GoogleCloudStorageBuilder::from_env().with_retry(retry.clone()).with_bucket_name(bucket);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl).or_else(|| base_url(&builder));
    builder = builder.with_client_options(client_options(settings, endpoint.as_deref())?);
    let is_given = [
        GoogleConfigKey::ServiceAccount,
        GoogleConfigKey::ServiceAccountKey,
        GoogleConfigKey::ApplicationCredentials,
        GoogleConfigKey::BearerToken,
    ]
    .iter()
    .any(|key| builder.get_config_value(key).is_some());
    if !is_given {
        // What `gcloud` has left, else the machine's identity.
        let asking = built(builder.clone().with_retry(for_identity(retry)).build())?;
        builder = builder.with_credentials(Arc::clone(asking.credentials()));
    }
    built(builder.build())
}

/// Whether this is Amazon itself. It refuses uploads without a checksum to a bucket whose objects are locked; other stores do not
/// all know checksums.
fn is_amazon(endpoint: Option<&str>) -> bool {
    endpoint.is_none_or(|endpoint| endpoint.trim_end_matches('/').ends_with(".amazonaws.com"))
}

/// The address that the file of a service account names.
fn base_url(builder: &GoogleCloudStorageBuilder) -> Option<String> {
    #[derive(Deserialize)]
    struct Account {
        gcs_base_url: Option<String>,
    }
    let text = builder.get_config_value(&GoogleConfigKey::ServiceAccountKey).or_else(|| {
        let file = builder.get_config_value(&GoogleConfigKey::ServiceAccount)?;
        std::fs::read_to_string(file).ok()
    })?;
    serde_json::from_str::<Account>(&text).ok()?.gcs_base_url
}

fn azure(
    container: &str,
    settings: &Settings,
    retry: &RetryConfig,
) -> Result<object_store::azure::MicrosoftAzure, Said> {
    let mut builder =
        MicrosoftAzureBuilder::from_env().with_retry(retry.clone()).with_container_name(container);
    if let Some(account) = &settings.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let is_emulator = is_true(builder.get_config_value(&AzureConfigKey::UseEmulator));
    if builder.get_config_value(&AzureConfigKey::AccountName).is_none() && !is_emulator {
        return Err(Said::NoCredentials("no storage account is named".to_owned()));
    }
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    builder = builder.with_client_options(client_options(settings, endpoint.as_deref())?);
    let is_given = is_emulator
        || [AzureConfigKey::UseAzureCli, AzureConfigKey::SkipSignature]
            .iter()
            .any(|key| is_true(builder.get_config_value(key)))
        || [
            AzureConfigKey::AccessKey,
            AzureConfigKey::SasKey,
            AzureConfigKey::Token,
            AzureConfigKey::ClientSecret,
            AzureConfigKey::FederatedTokenFile,
        ]
        .iter()
        .any(|key| builder.get_config_value(key).is_some());
    if !is_given {
        let asking = built(builder.clone().with_retry(for_identity(retry)).build())?;
        builder = builder.with_credentials(Arc::clone(asking.credentials()));
    }
    built(builder.build())
}

fn for_identity(retry: &RetryConfig) -> RetryConfig {
    RetryConfig { max_retries: retry.max_retries.min(IDENTITY_RETRIES), ..retry.clone() }
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

fn built<T>(client: Result<T, object_store::Error>) -> Result<T, Said> {
    client.map_err(|error| match crate::error::said(&error) {
        Said::Other(text) => Said::Settings(text),
        said => said,
    })
}

#[cfg(test)]
mod tests {
    use super::is_amazon;

    #[test]
    fn amazon_is_recognised_behind_an_address_of_its_own() {
        for (endpoint, expected) in [
            (None, true),
            (Some("https://bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com/"), true),
            (Some("https://minio.example.com:9000"), false),
            (Some("http://127.0.0.1:9000"), false),
        ] {
            assert_eq!(is_amazon(endpoint), expected, "{endpoint:?}");
        }
    }
}
