//! Which certificates are trusted in addition to those that this machine trusts: the user's own authorities, and self-signed
//! certificates.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How to speak TLS with a node whose certificate, or whose certificate authority, is in a PEM file. The authorities that this
/// machine trusts stay trusted.
///
/// Fails if the file cannot be read or holds no certificate; the error says why.
pub(super) fn with_authorities(file: &Path) -> Result<ClientConfig, String> {
    let text = std::fs::read(file).map_err(|e| e.to_string())?;
    let given: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("it is not a PEM file: {e}"))?;
    if given.is_empty() {
        return Err("it holds no certificate (-----BEGIN CERTIFICATE-----)".into());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(of_machine().iter().cloned());
    roots.add_parsable_certificates(given.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|e| e.to_string())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting { usual, given }))
        .with_no_client_auth();
    Ok(config)
}

/// The authorities that this machine trusts; none where their certificates are not installed.
pub(super) fn of_machine() -> &'static [CertificateDer<'static>] {
    static FOUND: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    FOUND.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

/// How to speak without TLS where no authority is trusted: a client with the usual settings cannot be made there.
pub(super) fn with_nobody() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| e.to_string())?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Trusts what is usual, and the very certificates that were given.
#[derive(Debug)]
struct Trusting {
    usual: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match found {
            Err(rustls::Error::InvalidCertificate(problem))
                if is_of_issuer_or_name(&problem) && self.given.contains(end_entity) =>
            {
                // The user has handed over exactly this certificate, whatever name it has. That the server holds its key is
                // proven by the signatures.
                Ok(ServerCertVerified::assertion())
            }
            found => found,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether what is wrong with a certificate is who signed it or whom it is for; a self-signed one often says that it is an
/// authority's, which is an error of its own.
fn is_of_issuer_or_name(problem: &CertificateError) -> bool {
    matches!(
        problem,
        CertificateError::UnknownIssuer
            | CertificateError::Other(_)
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_certificates_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        assert!(with_authorities(&file).unwrap_err().contains("No such file"));
        std::fs::write(&file, "nothing").unwrap();
        assert!(with_authorities(&file).unwrap_err().contains("no certificate"));
    }
}
