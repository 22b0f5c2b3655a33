//! TCP and TLS.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Site;

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

/// Why no TLS connection stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the host name is invalid")]
    Name,
    #[error("TCP or TLS failed")]
    Io(#[from] io::Error),
    #[error("the peer does not speak HTTP/2")]
    NotHttp2,
}

/// The certificates that the machine trusts, or those of `SSL_CERT_FILE`.
pub(in crate::channel) fn native_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Machines carry odd certificates: those that cannot be read are not trusted, the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// TLS 1.2 and 1.3 that offers HTTP/2 and nothing else.
pub(in crate::channel) fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    // The provider is named, so that no process-wide default is needed or disturbed.
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Connects to a site.
pub(super) async fn connect(site: &Site, tls: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, ConnectError> {
    let name = ServerName::try_from(site.host().to_owned()).map_err(|_| ConnectError::Name)?;
    let tcp = TcpStream::connect((site.host(), site.port())).await?;
    // Small frames would otherwise wait for the acknowledgement of the ones before: 40 ms each.
    tcp.set_nodelay(true)?;
    let stream = TlsConnector::from(tls).connect(name, tcp).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok(stream),
        _ => Err(ConnectError::NotHttp2),
    }
}
