//! TCP and TLS.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Site;
use super::speech::Offer;
use crate::runtime::tls::{self, TlsError};

/// Why no connection stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the host name is invalid")]
    Name,
    #[error("TCP or TLS failed")]
    Io(#[from] io::Error),
    #[error("the peer does not speak HTTP/2")]
    NotHttp2,
}

/// Bytes there and back.
pub(super) struct Link {
    pub(super) io: Box<dyn Io>,
    /// What the peer has chosen; otherwise it is HTTP/1.1.
    pub(super) is_http2: bool,
}

/// TCP, or TLS over it.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// TLS that offers HTTP/2 and nothing else.
pub(in crate::channel) fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = tls::client_config(roots)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// TLS that offers HTTP/2, and HTTP/1.1 to those who do not know it.
pub(in crate::channel) fn either_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = tls::client_config(roots)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Connects to a site.
pub(super) async fn connect(site: &Site, tls: Arc<ClientConfig>, offer: Offer) -> Result<Link, ConnectError> {
    let tcp = TcpStream::connect((site.host(), site.port())).await?;
    // Small frames would otherwise wait for the acknowledgement of the ones before: 40 ms each.
    tcp.set_nodelay(true)?;
    let link = if site.is_plain() {
        Link { io: Box::new(tcp), is_http2: false }
    } else {
        let name = ServerName::try_from(site.host().to_owned()).map_err(|_| ConnectError::Name)?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Link { io: Box::new(stream), is_http2 }
    };
    if link.is_http2 || offer == Offer::Either { Ok(link) } else { Err(ConnectError::NotHttp2) }
}
