//! Where access tokens are shared: the store, as the channels ask for it.

use fanfare::channel::{Kept, Vault, VaultError};
use fanfare::domain::Timestamp;
use fanfare::runtime::telemetry::chain;
use fanfare::store::{StoreError, Token, TokenStore};
use futures::FutureExt;
use futures::future::BoxFuture;

/// The store of tokens, as a vault.
pub(crate) struct StoreVault(pub(crate) TokenStore);

impl Vault for StoreVault {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Kept>, VaultError>> {
        async move {
            let token = self.0.get(name).await.map_err(|error| failed(&error))?;
            let kept = |Token { token, fresh_until, version }| Kept { token, fresh_until, version };
            Ok(token.map(kept))
        }
        .boxed()
    }

    fn claim<'a>(
        &'a self,
        name: &'a str,
        version: u64,
        now: Timestamp,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<bool, VaultError>> {
        async move { self.0.claim(name, version, now, until).await.map_err(|error| failed(&error)) }.boxed()
    }

    fn keep<'a>(&'a self, name: &'a str, kept: Kept) -> BoxFuture<'a, Result<(), VaultError>> {
        async move {
            let Kept { token, fresh_until, version } = kept;
            self.0.put(name, &Token { token, fresh_until, version }).await.map_err(|error| failed(&error))
        }
        .boxed()
    }
}

fn failed(error: &StoreError) -> VaultError {
    VaultError(chain(error))
}
