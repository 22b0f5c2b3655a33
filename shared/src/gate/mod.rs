//! Who is let in: what every call passes before anything is done for it, whichever function answers it.
//!
//! Each dialect has its own order of checks, in a file of its own; client apps come with what either gave them. What is refused has changed nothing but the counters.

mod admit;
mod backend;
mod client;
mod origin;
mod rongcloud;
mod tencent;

pub use client::{Denial, Denied, Proven, bearer};
pub use rongcloud::SignedCall;

use crate::runtime::Clock;
use crate::store::{AppStore, AttemptStore, CallStore, Client, StandingStore, StoreError};

/// Lets callers in.
#[derive(Clone)]
pub struct Gate {
    apps: AppStore,
    attempts: AttemptStore,
    calls: CallStore,
    clock: Clock,
    standing: StandingStore,
}

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refused<E> {
    /// What the caller is told.
    #[error(transparent)]
    Told(E),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Gate {
    /// Over the table of the audience.
    pub fn new(apps: AppStore, client: Client, audience: &str, clock: Clock) -> Self {
        Self {
            apps,
            attempts: AttemptStore::new(client.clone(), audience),
            calls: CallStore::new(client.clone(), audience),
            clock,
            standing: StandingStore::new(client, audience),
        }
    }
}
