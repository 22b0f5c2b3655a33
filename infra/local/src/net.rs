//! Listening on this machine.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// A listener on a free port of the loopback interface.
///
/// # Errors
///
/// When there is none.
pub async fn loopback() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

/// The listener's URL, without a slash at the end.
///
/// # Errors
///
/// When the listener has no address.
pub fn url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Serves `router` for as long as the runtime lives, or until the task is aborted.
pub fn serve(listener: TcpListener, router: Router) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let listener = listener.tap_io(|connection| {
            // Answers are small, and nobody should wait 40 ms for one.
            drop(connection.set_nodelay(true));
        });
        if let Err(error) = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await {
            tracing::error!(%error, "A listener of the local stack failed");
        }
    })
}
