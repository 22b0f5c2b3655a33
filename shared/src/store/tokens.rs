//! Access tokens that vendors granted, shared by all environments: one item each, in the table of apps, which is encrypted
//! under a key of its own.

use aws_sdk_dynamodb::Client;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::Timestamp;

use super::error::unless_refused;
use super::item::{self, n, number, s, text};
use super::{StoreError, keys};

/// How long a token stays after its end, in seconds: any time, for nobody uses it. Its version goes with it, and begins
/// anew.
const KEPT_SECS: i64 = 3_600;

/// A token as it is kept.
#[derive(Debug, Clone)]
pub struct Token {
    /// What the vendor granted.
    pub token: SecretString,
    /// Until when it is good to use.
    pub fresh_until: Timestamp,
    /// Counts the refreshes.
    pub version: u64,
}

/// Reads and shares access tokens.
#[derive(Clone)]
pub struct TokenStore {
    client: Client,
    table: String,
}

impl TokenStore {
    /// Over the table of apps.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The token of a name, strongly consistent; `None` if there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Token>, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::access_token(name)).await?;
        let token = item.and_then(|item| {
            Some(Token {
                token: text(&item, "t")?.to_owned().into(),
                fresh_until: Timestamp::from_millis(number(&item, "f")?),
                version: number(&item, "v")?,
            })
        });
        Ok(token)
    }

    /// Asks to be the one who refreshes the token of a version, 0 for none, until a time. Of simultaneous ones, one is.
    pub async fn claim(&self, name: &str, version: u64, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::access_token(name).item()))
            .update_expression("SET c = :until, expires_at = if_not_exists(expires_at, :end)")
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":end", n(until.secs() + KEPT_SECS));
        let is_free = "(attribute_not_exists(c) OR c <= :now)";
        let update = match version {
            0 => update.condition_expression(format!("attribute_not_exists(v) AND {is_free}")),
            version => update
                .condition_expression(format!("v = :seen AND {is_free}"))
                .expression_attribute_values(":seen", n(version)),
        };
        Ok(unless_refused(update.send().await)?.is_some())
    }

    /// Keeps a token in place of the one before, and ends the claim.
    pub async fn put(&self, name: &str, token: &Token) -> Result<(), StoreError> {
        let mut item = keys::access_token(name).item();
        item.extend([
            ("t".to_owned(), s(token.token.expose_secret())),
            ("f".to_owned(), n(token.fresh_until.millis())),
            ("v".to_owned(), n(token.version)),
            ("expires_at".to_owned(), n(token.fresh_until.secs() + KEPT_SECS)),
        ]);
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }
}
