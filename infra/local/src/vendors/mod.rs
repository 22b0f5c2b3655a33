//! The vendors of push channels, as strict as the real ones, on this machine.
//!
//! Every vendor listens on a port of its own with TLS and the HTTP versions that the real one
//! speaks, checks whatever the real one is known to check, and refuses in the real one's shape.
//! What was sent and answered can be read back, and how a vendor behaves can be changed, over
//! [`Vendors::routes`].
//!
//! Vendors have threads of their own, for they are what rates are measured by: while the stack reads a long answer of its
//! database, theirs go on telling when a request came.
//!
//! A further vendor is one file: an implementation of `vendor::Vendor`, and one entry in
//! [`Vendors::start`].

mod apns;
mod behaviour;
mod client_credentials;
mod day_tokens;
mod deliveries;
mod fcm;
mod form;
mod harmony;
mod honor;
mod http1;
mod http2;
mod huawei;
mod jwt;
mod keys;
mod meizu;
mod oppo;
mod repetitions;
mod routes;
mod server;
mod service;
#[cfg(test)]
mod tests;
mod vendor;
mod vivo;
mod webpush;
mod wire;
mod xiaomi;

use std::{io, sync::Arc};

use serde_json::{Map, Value};

use self::{deliveries::Deliveries, keys::Keys, service::Service, vendor::Vendor};
use crate::{net, threads::Threads};

/// The clock of the stack: milliseconds since the UNIX epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The running vendors; dropping it closes their ports and connections.
pub struct Vendors {
    ca_pem: String,
    credentials: Value,
    deliveries: Arc<Deliveries>,
    services: Vec<Arc<Service>>,
    /// Dropped with the vendors, which ends them.
    threads: Threads,
}

impl Vendors {
    /// Makes keys and certificates that live as long as the value, and starts one TLS listener a
    /// vendor on `127.0.0.1`, on ports that the system picks.
    ///
    /// `now_ms` is the clock by which tokens expire. Fails when a port cannot be had or a key
    /// cannot be made.
    pub async fn start(now_ms: Clock) -> io::Result<Self> {
        let keys = Keys::generate().await?;
        let deliveries = Arc::new(Deliveries::default());
        let mut vendors = Self {
            ca_pem: keys.ca_pem.clone(),
            credentials: Value::Object(Map::new()),
            deliveries,
            services: Vec::new(),
            threads: Threads::start("vendors")?,
        };
        vendors.open(&keys, &now_ms, |endpoint| apns::Apns::new(endpoint, &keys)).await?;
        vendors.open(&keys, &now_ms, |endpoint| fcm::Fcm::new(endpoint, &keys)).await?;
        vendors.open(&keys, &now_ms, |endpoint| Ok(honor::Honor::new(endpoint))).await?;
        vendors.open(&keys, &now_ms, |endpoint| Ok(huawei::Huawei::new(endpoint))).await?;
        vendors.open(&keys, &now_ms, |endpoint| harmony::Harmony::new(endpoint, &keys)).await?;
        vendors.open(&keys, &now_ms, |endpoint| webpush::Webpush::new(endpoint, &keys)).await?;
        vendors.open(&keys, &now_ms, |endpoint| Ok(xiaomi::Xiaomi::new(endpoint))).await?;
        vendors.open(&keys, &now_ms, |endpoint| Ok(meizu::Meizu::new(endpoint))).await?;
        vendors.open(&keys, &now_ms, |endpoint| Ok(oppo::Oppo::new(endpoint))).await?;
        vendors.open(&keys, &now_ms, |endpoint| Ok(vivo::Vivo::new(endpoint))).await?;
        Ok(vendors)
    }

    /// The certificate authority that signed the vendors' certificates, in PEM: clients must
    /// trust it.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The `channels` object of an app whose pushes go to these vendors. It holds private keys,
    /// made at start and good for nothing else.
    pub fn credentials(&self) -> Value {
        self.credentials.clone()
    }

    /// `GET` and `DELETE /deliveries`, `GET /deliveries/count`, `PUT /vendors/{channel}` and
    /// `GET /vendors/{channel}/subscriptions/{name}`.
    pub fn routes(&self) -> axum::Router {
        routes::router(self.deliveries.clone(), self.services.clone())
    }

    async fn open<V: Vendor>(
        &mut self,
        keys: &Keys,
        now_ms: &Clock,
        vendor: impl FnOnce(&str) -> io::Result<V>,
    ) -> io::Result<()> {
        let listener = self.threads.run(net::loopback()).await?;
        let endpoint = format!("https://localhost:{}", listener.local_addr()?.port());
        let vendor = vendor(&endpoint)?;
        let tls = server::Tls { any: keys.tls(vendor.protocols().alpn)?, http1: keys.tls(&[b"http/1.1"])? };
        self.credentials[vendor.channel()] = vendor.credentials();
        let service = Arc::new(Service::new(Box::new(vendor), self.deliveries.clone(), now_ms.clone()));
        self.threads.spawn(server::serve(listener, tls, service.clone()));
        self.services.push(service);
        Ok(())
    }
}
