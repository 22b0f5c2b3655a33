//! One HTTP/2 connection to a vendor.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use h2::{
    Reason, RecvStream,
    server::{Connection, SendResponse},
};
use http::{Request, Response};
use tracing::debug;

use super::{
    deliveries::Receipt,
    service::{Handled, MAX_BODY, Service},
    vendor::{Answer, ConnectionState, VendorRequest},
    wire::{ResetSwitch, Wire},
};

/// The window that every stream starts with, as the protocol has it without being told.
const INITIAL_WINDOW: u32 = 65_535;

type InFlight = Pin<Box<dyn Future<Output = (SendResponse<Bytes>, Option<Handled>)> + Send>>;

/// Serves the connection until either side ends it.
///
/// The whole connection is one task, so that what is sent follows a plain order: the answer to
/// the first request with valid credentials, and then the SETTINGS that allow more streams.
pub(super) async fn serve(wire: Wire, reset: ResetSwitch, service: Arc<Service>) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(INITIAL_WINDOW);
    let connection = match builder.handshake(wire).await {
        Ok(connection) => connection,
        Err(error) => {
            debug!(channel = service.channel(), "HTTP/2 handshake failed: {error}");
            return;
        }
    };
    let protocols = service.protocols();
    let mut conversation = Conversation {
        connection,
        in_flight: FuturesUnordered::new(),
        state: Arc::new(ConnectionState::default()),
        streams: protocols.streams_at_first.unwrap_or(protocols.streams),
        announcement_due: false,
        answered: 0,
        resets: false,
        unsigned: Vec::new(),
        service,
    };
    loop {
        match poll_fn(|cx| conversation.poll_event(cx)).await {
            Event::Request(request, respond) => {
                if conversation.must_reset() {
                    reset.pull();
                    return;
                }
                conversation.begin(request, respond);
            }
            Event::Handled(respond, handled) => conversation.finish(respond, handled),
            Event::Closed => return,
        }
        if conversation.resets {
            reset.pull();
            return;
        }
    }
}

enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    Handled(SendResponse<Bytes>, Option<Handled>),
    Closed,
}

struct Conversation {
    connection: Connection<Wire, Bytes>,
    in_flight: FuturesUnordered<InFlight>,
    service: Arc<Service>,
    state: Arc<ConnectionState>,
    /// Streams that may be open at a time, now.
    streams: u32,
    /// More streams are allowed, but the client has not been told yet.
    announcement_due: bool,
    answered: u64,
    /// An answer is to be lost with the connection.
    resets: bool,
    /// Of answers that may not be on the wire yet.
    unsigned: Vec<Receipt>,
}

impl Conversation {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(Some((respond, handled))) = self.in_flight.poll_next_unpin(cx) {
            return Poll::Ready(Event::Handled(respond, handled));
        }
        self.announce();
        let accepted = match self.connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => Event::Request(request, respond),
            Poll::Ready(Some(Err(_))) => Event::Closed,
            Poll::Ready(None) => {
                self.sign();
                Event::Closed
            }
            Poll::Pending => {
                // Nothing is left to do, so everything was written.
                self.sign();
                if self.announce() {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        };
        Poll::Ready(accepted)
    }

    fn sign(&mut self) {
        self.unsigned.drain(..).for_each(|receipt| receipt.sign());
    }

    /// Sends a SETTINGS frame, into which [`Wire`] writes the new limit. What the frame itself
    /// says is what holds already. It has to wait while the client has not acknowledged the
    /// SETTINGS before it.
    fn announce(&mut self) -> bool {
        let announced = self.announcement_due && self.connection.set_initial_window_size(INITIAL_WINDOW).is_ok();
        if announced {
            self.announcement_due = false;
        }
        announced
    }

    fn must_reset(&self) -> bool {
        let after = self.service.behaviour().reset_after();
        after.is_some_and(|n| self.answered >= n)
    }

    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        if self.is_full() {
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let (service, state) = (self.service.clone(), self.state.clone());
        self.in_flight.push(Box::pin(async move {
            let handled = tokio::select! {
                biased;
                handled = handle(request, &service, &state) => handled,
                // The client has given the stream up, and may open another.
                _ = poll_fn(|cx| respond.poll_reset(cx)) => None,
            };
            (respond, handled)
        }));
    }

    fn is_full(&mut self) -> bool {
        let limit = self.streams as usize;
        // Some may be over by what has arrived together with the new request.
        while self.in_flight.len() >= limit {
            match self.in_flight.next().now_or_never() {
                Some(Some((respond, handled))) => self.finish(respond, handled),
                _ => return true,
            }
        }
        false
    }

    fn finish(&mut self, respond: SendResponse<Bytes>, handled: Option<Handled>) {
        let Some(Handled { answer, authenticated, resets, receipt }) = handled else { return };
        if resets {
            self.resets = true;
            return;
        }
        // A stream that the client has reset meanwhile takes no answer.
        if send(respond, answer).is_ok() {
            self.unsigned.extend(receipt);
        }
        let allowed = self.service.protocols().streams;
        if authenticated && self.streams < allowed {
            self.streams = allowed;
            self.announcement_due = true;
        }
        self.answered += 1;
        let goaway_after = self.service.behaviour().goaway_after();
        if goaway_after.is_some_and(|n| self.answered >= n) {
            self.connection.graceful_shutdown();
        }
    }
}

/// `None` when the request did not arrive whole.
async fn handle(request: Request<RecvStream>, service: &Service, state: &ConnectionState) -> Option<Handled> {
    let request = receive(request).await.ok()?;
    Some(service.handle(request, state).await)
}

async fn receive(request: Request<RecvStream>) -> Result<VendorRequest, h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(VendorRequest {
        method: head.method,
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: body.freeze(),
    })
}

fn send(mut respond: SendResponse<Bytes>, answer: Answer) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    let mut stream = respond.send_response(response, answer.body.is_empty())?;
    if !answer.body.is_empty() {
        stream.send_data(answer.body, true)?;
    }
    Ok(())
}
