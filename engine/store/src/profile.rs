//! Profiles of the AWS configuration files: keys, region, endpoint, `credential_process`.
//!
//! Source: "Configuration and credential file settings" and "Sourcing credentials with an external process" of the AWS CLI's manual.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::Said;

/// Credentials of a process are renewed this long before they expire.
const RENEW_BEFORE: jiff::SignedDuration = jiff::SignedDuration::from_secs(300);
/// Time that a process may take.
const PROCESS: Duration = Duration::from_secs(60);

/// What the files say about a profile.
#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    keys: Option<(String, String, Option<String>)>,
    process: Option<String>,
}

/// The profile to use: the one of the settings or of the environment, else `default` unless the environment has keys.
pub(crate) fn chosen(setting: Option<&str>, has_keys: bool) -> Option<String> {
    let named = || std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
    match setting {
        Some(name) => Some(name.to_owned()),
        None if has_keys => None,
        None => named().or_else(|| Some("default".to_owned()).filter(|_| files().iter().any(|f| f.exists()))),
    }
}

/// The two files that may hold profiles: credentials, configuration.
fn files() -> [PathBuf; 2] {
    let file = |variable: &str, name: &str| match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".aws").join(name),
    };
    [file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), file("AWS_CONFIG_FILE", "config")]
}

impl Profile {
    /// Reads a profile; one that neither file has is an error unless it is `default`.
    pub(crate) fn read(name: &str) -> Result<Self, Said> {
        let mut values = HashMap::new();
        let mut found = false;
        // What the credentials file says comes first.
        for (path, section) in files().iter().rev().zip([config_section(name), name.to_owned()]) {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    if let Some(section) = section_of(&text, &section) {
                        found = true;
                        values.extend(section);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Said::Settings(format!("{} cannot be read: {error}", path.display())));
                }
            }
        }
        if !found && name != "default" {
            let [credentials, config] = files().map(|file| file.display().to_string());
            return Err(Said::Settings(format!(
                "the profile {name:?} is neither in {credentials} nor in {config}"
            )));
        }
        let mut take = |key: &str| values.remove(key);
        let (id, secret) = (take("aws_access_key_id"), take("aws_secret_access_key"));
        let token = take("aws_session_token");
        Ok(Self {
            region: take("region"),
            endpoint: take("endpoint_url"),
            keys: id.zip(secret).map(|(id, secret)| (id, secret, token)),
            process: take("credential_process"),
        })
    }

    /// Provides the profile's credentials; `None` if it has none.
    pub(crate) fn credentials(&self) -> Option<Arc<dyn CredentialProvider<Credential = AwsCredential>>> {
        if let Some((key_id, secret_key, token)) = &self.keys {
            let keys = AwsCredential {
                key_id: key_id.clone(),
                secret_key: secret_key.clone(),
                token: token.clone(),
            };
            return Some(Arc::new(object_store::StaticCredentialProvider::new(keys)));
        }
        let command = self.process.clone()?;
        Some(Arc::new(Process { command, known: Mutex::new(None) }))
    }
}

fn config_section(name: &str) -> String {
    if name == "default" { name.to_owned() } else { format!("profile {name}") }
}

/// The keys of a section; `None` if there is no such section.
fn section_of(text: &str, wanted: &str) -> Option<HashMap<String, String>> {
    let mut values: Option<HashMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        // Indented lines belong to a nested setting, such as `s3 =`.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim_end();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = name.trim() == wanted;
            if inside {
                values.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            values.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}

/// Gets credentials from a program of the user's.
struct Process {
    command: String,
    known: Mutex<Option<(Arc<AwsCredential>, Option<Timestamp>)>>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("credential_process")
    }
}

/// What the program prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

#[async_trait]
impl CredentialProvider for Process {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut known = self.known.lock().await;
        if let Some((credential, expires)) = &*known
            && expires.is_none_or(|at| at.duration_since(Timestamp::now()) > RENEW_BEFORE)
        {
            return Ok(Arc::clone(credential));
        }
        let (credential, expires) = self.run().await.map_err(|why| object_store::Error::Generic {
            store: "S3",
            source: format!("no credentials from credential_process: {why}").into(),
        })?;
        let credential = Arc::new(credential);
        *known = Some((Arc::clone(&credential), expires));
        Ok(credential)
    }
}

impl Process {
    async fn run(&self) -> Result<(AwsCredential, Option<Timestamp>), String> {
        let output = tokio::process::Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let output = match tokio::time::timeout(PROCESS, output).await {
            Ok(output) => output.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("it took more than {} s", PROCESS.as_secs())),
        };
        if !output.status.success() {
            return Err(format!("it ended with {}", output.status));
        }
        // The text may hold a secret: only where it is wrong may be said.
        let printed: Printed = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("its output is not as expected, at line {}", error.line()))?;
        if printed.version != 1 {
            return Err(format!("its output has the unknown version {}", printed.version));
        }
        let credential = AwsCredential {
            key_id: printed.access_key_id,
            secret_key: printed.secret_access_key,
            token: printed.session_token,
        };
        let expires = printed.expiration.map(|text| text.parse()).transpose();
        Ok((credential, expires.map_err(|_| "its Expiration is not a time (ISO 8601)")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let text = "# c\n[default]\nregion = eu-1\ns3 =\n  max_queue_size = 1\n[profile a]\nRegion=us-2\nendpoint_url=http://h\n";
        let default = section_of(text, "default").unwrap();
        assert_eq!(default["region"], "eu-1");
        assert!(!default.contains_key("max_queue_size"));
        let a = section_of(text, "profile a").unwrap();
        assert_eq!((a["region"].as_str(), a["endpoint_url"].as_str()), ("us-2", "http://h"));
        assert!(section_of(text, "a").is_none());
    }

    #[tokio::test]
    async fn a_process_gives_credentials_until_they_expire() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let command = |expiration: &str| {
            format!(
                "echo x >> {}; echo '{{\"Version\":1,\"AccessKeyId\":\"k\",\"SecretAccessKey\":\"s\"{expiration}}}'",
                count.display()
            )
        };
        let runs = || std::fs::read_to_string(&count).unwrap().lines().count();
        let lasting = Process { command: command(""), known: Mutex::new(None) };
        for _ in 0..2 {
            assert_eq!(lasting.get_credential().await.unwrap().key_id, "k");
        }
        assert_eq!(runs(), 1);
        let old =
            Process { command: command(",\"Expiration\":\"2020-01-01T00:00:00Z\""), known: Mutex::new(None) };
        for _ in 0..2 {
            old.get_credential().await.unwrap();
        }
        assert_eq!(runs(), 3);
    }

    #[tokio::test]
    async fn what_a_process_prints_is_not_repeated() {
        let wrong = Process { command: "echo SECRET".into(), known: Mutex::new(None) };
        let error = wrong.get_credential().await.unwrap_err().to_string();
        assert!(!error.contains("SECRET") && error.contains("credential_process"), "{error}");
    }
}
