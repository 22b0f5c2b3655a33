//! TLS, as every connection that is not AWS's uses it.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Nobody is trusted, so nobody can be reached.
    #[error("no trusted certificate was found")]
    NoRoots,
    /// The cryptography refuses its own defaults.
    #[error("the TLS versions are not supported")]
    Versions(#[source] rustls::Error),
}

/// The certificates that the machine trusts, or those of `SSL_CERT_FILE`.
pub fn native_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Machines carry odd certificates: those that cannot be read are not trusted, the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// TLS 1.2 and 1.3 that trusts `roots`, without a certificate of ours. Which HTTP it offers is the caller's to add.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, TlsError> {
    // The provider is named, so that no process-wide default is needed or disturbed.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
