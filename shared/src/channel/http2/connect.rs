//! TCP and TLS.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Site;
use crate::runtime::tls::{self, TlsError};

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

/// TLS that offers HTTP/2 and nothing else.
pub(in crate::channel) fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = tls::client_config(roots)?;
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
