//! Accepting a vendor's connections.

use std::sync::Arc;

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{
    http1, http2,
    service::Service,
    wire::{ResetSwitch, Wire},
};

/// What a vendor's connections can agree on.
pub(super) struct Tls {
    /// What the vendor speaks.
    pub any: TlsAcceptor,
    /// HTTP/1.1.
    pub http1: TlsAcceptor,
}

/// Serves connections until it is dropped, and then closes them.
pub(super) async fn serve(listener: TcpListener, tls: Tls, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is one connection's: gone before it was accepted, or no file
                // descriptor left for it. The loop is not to spin on the latter.
                let Ok((socket, _)) = accepted else {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                };
                let tls = if service.behaviour().http1_only() { &tls.http1 } else { &tls.any };
                connections.spawn(converse(socket, tls.clone(), service.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(socket: TcpStream, tls: TlsAcceptor, service: Arc<Service>) {
    // Small frames and Nagle's algorithm cost 40 ms each.
    let _ = socket.set_nodelay(true);
    let socket = match tls.accept(socket).await {
        Ok(socket) => socket,
        Err(error) => {
            debug!(channel = service.channel(), "TLS handshake failed: {error}");
            return;
        }
    };
    let agreed = socket.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let protocols = service.protocols();
    let reset = ResetSwitch::default();
    match agreed.as_deref() {
        Some(b"h2") => {
            let wire = Wire::http2(socket, reset.clone(), protocols);
            http2::serve(wire, reset, service).await;
        }
        // A client that does not negotiate speaks HTTP/1.1, to those that know it.
        _ if protocols.alpn.contains(&&b"http/1.1"[..]) => {
            http1::serve(Wire::plain(socket, reset.clone()), reset, service).await;
        }
        _ => debug!(channel = service.channel(), "Closed a connection that did not negotiate HTTP/2"),
    }
}
