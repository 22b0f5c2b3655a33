//! The ways out to devices: one folder a vendor, with the same files in each, and one [`Senders::send`] for all.
//!
//! | file | says |
//! |---|---|
//! | `mod.rs` | how a batch is sent |
//! | `credential.rs` | how we prove who we are, where it is not by an id and a secret as `oauth.rs` has it |
//! | `payload.rs` | what a push looks like on the wire, and whether it is too long for that |
//! | `answer.rs` | what the vendor's answers mean, as an [`Outcome`] |
//!
//! Whatever happens, every target has exactly one outcome, and nothing is believed of a token that the vendor did not
//! say. Whether an [`Outcome::InvalidToken`] may be acted on is the [`breaker`]'s to decide.

mod access;
mod apns;
mod batch;
pub mod breaker;
mod brief;
mod by_credential;
mod check;
mod data;
mod facts;
mod fcm;
mod flight;
mod harmony;
mod honor;
mod http2;
mod huawei;
mod meizu;
mod oauth;
mod oppo;
mod pulse;
mod rate;
mod rest;
mod shorten;
#[cfg(test)]
pub(crate) mod testkit;
mod turns;
mod vivo;
mod webpush;
mod words;
pub mod ws;
mod xiaomi;

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::RootCertStore;

use crate::domain::{App, Channel, DeviceToken, Outcome, Push, Wording};
use crate::runtime::Clock;
use crate::runtime::tls::{TlsError, native_roots};

pub use access::{Kept, Vault, VaultError};
use batch::Batch;
pub use breaker::Breaker;
pub use check::{Measured, TooLarge, check};
pub use facts::{ChannelFacts, RateUnit, traits};
pub use rate::{Rates, scope, units};
pub use turns::{Turns, Window};

/// Why the senders could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without TLS no vendor can be reached.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
}

/// An app's channel is set up nowhere.
#[derive(Debug, thiserror::Error)]
#[error("the app has no credentials for it")]
struct NoCredentials;

/// What an app has set up for a channel cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be read")]
struct Unreadable(String);

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// One for each target, in their order.
    pub outcomes: Vec<Outcome>,
    /// What went wrong first that was not about one device, if anything did: the vendor's status and word for it.
    pub complaint: Option<String>,
}

/// One device to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The vendor's address of it; for [`Channel::Ws`] the id of the connection.
    pub token: DeviceToken,
    /// The app package that registered the token, where that is known.
    pub package: Option<String>,
    /// Which of the notification's wordings it is shown.
    pub wording: Wording,
}

/// Everything that sends. Built once an environment, because it keeps connections and credentials warm; clones share
/// them.
#[derive(Clone)]
pub struct Senders {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    apns: apns::Sender,
    fcm: fcm::Sender,
    ws: Option<ws::Sender>,
    huawei: huawei::Sender,
    vivo: vivo::Sender,
    oppo: oppo::Sender,
    meizu: meizu::Sender,
    xiaomi: xiaomi::Sender,
    webpush: webpush::Sender,
    harmony: harmony::Sender,
    honor: honor::Sender,
}

/// What the senders to vendors of many tokens a request have in common.
#[derive(Clone)]
struct Shared {
    http: rest::Client,
    tokens: access::AccessTokens,
}

impl Senders {
    /// Senders that trust the certificates of the machine, or of `SSL_CERT_FILE`.
    ///
    /// `connections` is the client of the WebSocket API; a function that sends to vendors only has none. `vault` is where
    /// access tokens are shared.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when no trusted certificate is found.
    pub fn new(clock: Clock, connections: Option<ws::Client>, vault: Arc<dyn Vault>) -> Result<Self, Error> {
        Self::trusting(native_roots()?, clock, connections, vault)
    }

    /// Senders that trust the given authorities, and no others.
    pub(crate) fn trusting(
        roots: RootCertStore,
        clock: Clock,
        connections: Option<ws::Client>,
        vault: Arc<dyn Vault>,
    ) -> Result<Self, Error> {
        let tls = http2::client_config(roots.clone())?;
        let shared = Shared {
            http: rest::Client::new(roots, clock.clone())?,
            tokens: access::AccessTokens::new(vault, clock.clone()),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                apns: apns::Sender::new(tls.clone(), clock.clone()),
                fcm: fcm::Sender::new(tls, clock.clone()),
                ws: connections.map(ws::Sender::new),
                huawei: huawei::Sender::new(shared.clone()),
                honor: honor::Sender::new(shared.clone()),
                harmony: harmony::Sender::new(shared.clone()),
                webpush: webpush::Sender::new(shared.clone()),
                xiaomi: xiaomi::Sender::new(shared.clone()),
                meizu: meizu::Sender::new(shared.clone()),
                oppo: oppo::Sender::new(shared.clone()),
                vivo: vivo::Sender::new(shared),
                clock,
            }),
        })
    }

    /// Sends a push to a batch of targets: exactly one outcome for each, in their order.
    ///
    /// Turns are asked for when all else is ready. Every request leaves at its turn; one that would leave later, second tries
    /// included, is not sent, and its targets are [`Outcome::Unsent`]. A channel that has no sender, or for which the app has no credential, is
    /// [`Outcome::Config`] for all. Once the push is past its deadline nothing more of it leaves, and the rest is
    /// [`Outcome::Transient`]: the caller, who knows the deadline too, counts it as expired.
    pub fn send<'a>(
        &'a self,
        channel: Channel,
        app: &'a App,
        push: &'a Push,
        targets: &'a [Target],
        turns: Turns,
    ) -> BoxFuture<'a, Sent> {
        // Boxed where its lifetimes are known: a caller that spawns could not prove it `Send` otherwise.
        let batch = Batch::new(channel, push, targets, &self.inner.clock, turns);
        async move {
            let (inner, vendors) = (&self.inner, &app.channels);
            let outcomes = match channel {
                Channel::Ws => match &inner.ws {
                    Some(ws) => Some(ws.send(&batch).await),
                    None => None,
                },
                Channel::Apns => match &vendors.apns {
                    Some(credentials) => Some(inner.apns.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Fcm => match &vendors.fcm {
                    Some(credentials) => Some(inner.fcm.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Harmony => match &vendors.harmony {
                    Some(credentials) => Some(inner.harmony.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Webpush => match &vendors.webpush {
                    Some(credentials) => Some(inner.webpush.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Xiaomi => match &vendors.xiaomi {
                    Some(credentials) => Some(inner.xiaomi.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Meizu => match &vendors.meizu {
                    Some(credentials) => Some(inner.meizu.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Oppo => match &vendors.oppo {
                    Some(credentials) => Some(inner.oppo.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Vivo => match &vendors.vivo {
                    Some(credentials) => Some(inner.vivo.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Huawei => match &vendors.huawei {
                    Some(credentials) => Some(inner.huawei.send(credentials, &batch).await),
                    None => None,
                },
                Channel::Honor => match &vendors.honor {
                    Some(credentials) => Some(inner.honor.send(credentials, &batch).await),
                    None => None,
                },
            };
            let outcomes = outcomes.unwrap_or_else(|| match vendors.unreadable.get(&channel) {
                Some(path) => batch.unsendable(&Unreadable(path.clone()), &Outcome::Config),
                None => batch.unsendable(&NoCredentials, &Outcome::Config),
            });
            Sent { outcomes, complaint: batch.complaint.first() }
        }
        .boxed()
    }
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Senders").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::{a_live_push, an_app, apns_credentials, targets};

    fn senders() -> Senders {
        Senders::new(Clock::system(), None, Arc::new(access::tests::Memory::default())).unwrap()
    }

    #[tokio::test]
    async fn a_channel_without_sender_or_credential_is_for_a_person_to_mend() {
        let (push, targets) = (a_live_push(&Clock::system()), targets(3));
        for &channel in Channel::ALL {
            let outcomes = senders().send(channel, &an_app(), &push, &targets, Turns::freely()).await.outcomes;
            assert_eq!(outcomes, vec![Outcome::Config; 3], "{channel}");
        }
    }

    #[tokio::test]
    async fn nobody_to_send_to_is_no_outcome() {
        let mut app = an_app();
        app.channels.apns = Some(apns_credentials("https://localhost:1"));
        assert!(
            senders()
                .send(Channel::Apns, &app, &a_live_push(&Clock::system()), &[], Turns::freely())
                .await
                .outcomes
                .is_empty()
        );
    }

    #[test]
    fn sending_can_be_spawned() {
        fn is_send(_: &impl Send) {}
        let (senders, app, push) = (senders(), an_app(), a_live_push(&Clock::system()));
        is_send(&senders.send(Channel::Fcm, &app, &push, &[], Turns::freely()));
    }

    #[test]
    fn a_channel_takes_at_least_one_token_and_one_unit_a_second() {
        for &channel in Channel::ALL {
            let ChannelFacts { max_batch, default_rate, .. } = traits(channel);
            assert!(max_batch > 0 && default_rate > 0, "{channel}");
        }
    }
}
