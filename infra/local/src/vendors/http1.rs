//! One HTTP/1.1 connection to a vendor.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use super::{
    service::{Handled, MAX_BODY, Service},
    vendor::{ConnectionState, VendorRequest},
    wire::{ResetSwitch, Wire},
};

/// Serves the connection until either side ends it.
pub(super) async fn serve(wire: Wire, reset: ResetSwitch, service: Arc<Service>) {
    let state = ConnectionState::default();
    let answered = AtomicU64::new(0);
    let respond = service_fn(|request| respond(request, &service, &state, &answered, &reset));
    // Its errors are the client's going away, or the reset that was asked for.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(wire), respond).await;
}

async fn respond(
    request: Request<Incoming>,
    service: &Service,
    state: &ConnectionState,
    answered: &AtomicU64,
    reset: &ResetSwitch,
) -> io::Result<Response<Full<Bytes>>> {
    let before = answered.fetch_add(1, Ordering::Relaxed);
    let behaviour = service.behaviour();
    if behaviour.reset_after().is_some_and(|n| before >= n) {
        reset.pull();
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let Handled { answer, resets, receipt, .. } = service.handle(receive(request).await?, state).await;
    if resets {
        reset.pull();
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    // What HTTP/1.1 has for a GOAWAY.
    if behaviour.goaway_after().is_some_and(|n| before + 1 >= n) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // Had the client gone, this would not be running any more.
    if let Some(receipt) = receipt {
        receipt.sign();
    }
    Ok(response)
}

async fn receive(request: Request<Incoming>) -> io::Result<VendorRequest> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(io::Error::other)?;
    Ok(VendorRequest {
        method: head.method,
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: body.to_bytes(),
    })
}
