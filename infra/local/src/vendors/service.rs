//! A vendor with what surrounds it: its behaviour, the clock and the record of deliveries.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;

use super::{
    Clock,
    behaviour::{Behaviour, How},
    deliveries::{Deliveries, Receipt},
    vendor::{Answer, Call, ConnectionState, Protocols, Reply, Vendor, VendorRequest},
};

/// Bytes of a body that are read; a longer one is over every vendor's limit.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// Not JSON, and neither an empty body: what a `garbage` vendor answers.
const GARBAGE: &[u8] = b"{\"name\":\"proj";

pub(super) struct Service {
    vendor: Box<dyn Vendor>,
    behaviour: RwLock<Arc<Behaviour>>,
    deliveries: Arc<Deliveries>,
    now_ms: Clock,
}

/// An answer that may go out now.
pub(super) struct Handled {
    pub answer: Answer,
    pub authenticated: bool,
    /// The connection is to be reset instead.
    pub resets: bool,
    /// To be signed once the answer is on its way. There is none for an answer that cannot be read.
    pub receipt: Option<Receipt>,
}

impl Service {
    pub(super) fn new(vendor: Box<dyn Vendor>, deliveries: Arc<Deliveries>, now_ms: Clock) -> Self {
        Self { vendor, behaviour: RwLock::default(), deliveries, now_ms }
    }

    pub(super) fn channel(&self) -> &'static str {
        self.vendor.channel()
    }

    pub(super) fn protocols(&self) -> Protocols {
        self.vendor.protocols()
    }

    /// The subscription of a device of that name, where the vendor's devices have some.
    pub(super) fn subscription(&self, name: &str) -> Option<Value> {
        self.vendor.subscription(name)
    }

    pub(super) fn behaviour(&self) -> Arc<Behaviour> {
        let behaviour = self.behaviour.read();
        behaviour.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        let mut current = self.behaviour.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(behaviour);
    }

    /// Judges the request, records it, and returns the answer when its latency has passed.
    ///
    /// It is recorded before the wait: a sender that gives up waiting has sent it all the same. Whether the answer reached
    /// it, the record says once it did.
    pub(super) async fn handle(&self, mut request: VendorRequest, connection: &ConnectionState) -> Handled {
        let behaviour = self.behaviour();
        let now_ms = (self.now_ms)();
        let Reply { mut answer, outcomes, authenticated } =
            self.vendor.answer(&Call { request: &request, connection, behaviour: &behaviour, now_ms });
        let (mut instead, mut receipt) = (How::Answer, None);
        if !outcomes.is_empty() {
            instead = behaviour.next_answer();
            if instead == How::Garbage {
                answer.body = Bytes::from_static(GARBAGE);
            }
            if let Some(readable) = self.vendor.readable(&request) {
                request.body = readable;
            }
            let recorded = self.deliveries.record(self.channel(), now_ms, &request, &answer, outcomes);
            receipt = (instead == How::Answer).then_some(recorded);
            // Everything but the answer is done with, and there may be thousands waiting.
            drop(request);
            let latency_ms = behaviour.next_latency_ms();
            if latency_ms > 0 {
                tokio::time::sleep(Duration::from_millis(latency_ms)).await;
            }
            if instead == How::Silence {
                std::future::pending::<()>().await;
            }
        }
        Handled { answer, authenticated, resets: instead == How::Reset, receipt }
    }
}
