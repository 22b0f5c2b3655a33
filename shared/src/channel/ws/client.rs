//! Calls of an API's `@connections`, one request each.
//!
//! Not by AWS's SDK: one function makes thousands of them a second, and what the SDK does around each (interceptors,
//! endpoint rules, a token bucket, retries that would know no turn) costs several times the request.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::signature::{Signer, Unsigned};
use crate::channel::http2::{Failure, Pool, Settings, Site, either_config};
use crate::channel::turns::Turn;
use crate::runtime::Clock;
use crate::runtime::config::{ConfigError, Lookup, required};
use crate::runtime::tls::native_roots;

/// Where `@connections` is, with the stage: the name under which AWS's SDKs look for it too.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI";

/// Posts under way at a time. At 20 ms each, the account's whole limit of 10,000 a second would take twice as many; the
/// limit is shared with every other API of the account.
pub(super) const CONCURRENCY: usize = 100;

/// As many connections as posts where each takes one of them; where API Gateway speaks HTTP/2, two with half of them each.
const SETTINGS: Settings = Settings {
    connections: CONCURRENCY,
    streams: CONCURRENCY / 2,
    connect_timeout: Duration::from_secs(2),
    request_timeout: Duration::from_secs(3),
    answer_bytes: 64 * 1024,
    proves: None,
};

/// What stands in a path as it is: RFC 3986's unreserved characters, as Signature Version 4 wants it.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Calls `@connections`, and keeps connections to it. Clones share them.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: String,
    site: Site,
    pool: Pool,
    signer: Signer,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It did not leave.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// It did not leave, or nothing came back.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Client {
    /// For the API at `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI`, as `https://host/stage`, called with the function's
    /// credentials.
    ///
    /// # Errors
    ///
    /// When the address is missing or none, there is no region, or no certificate is trusted.
    pub fn new(config: &SdkConfig, lookup: &impl Lookup, clock: Clock) -> Result<Self, ConfigError> {
        let invalid = |name: &str, reason: &dyn ToString| ConfigError::Invalid {
            name: name.to_owned(),
            reason: reason.to_string(),
        };
        let uri: Uri =
            required(lookup, ENDPOINT)?.parse().map_err(|error| invalid(ENDPOINT, &error as &http::uri::InvalidUri))?;
        let endpoint = base(&uri).ok_or_else(|| invalid(ENDPOINT, &"no address of an API"))?;
        let site = Site::also_plain(&uri).map_err(|_| invalid(ENDPOINT, &"no address of an API"))?;
        let tls = native_roots().and_then(either_config).map_err(|error| invalid("SSL_CERT_FILE", &error))?;
        let (pool, signer) = (Pool::of_either(tls, SETTINGS, clock), Signer::new(config)?);
        Ok(Self { inner: Arc::new(Inner { endpoint, site, pool, signer }) })
    }

    /// Opens connections to the API for so many calls at a time, while nobody waits for them.
    ///
    /// # Errors
    ///
    /// When none stands. The next call tries again.
    pub async fn warm_up(&self, count: usize) -> Result<(), Failure> {
        self.inner.pool.connect(&self.inner.site, count).await
    }

    /// Calls about one connection, at its turn, once. What certainly was not processed is sent once more, if it may be.
    pub(super) async fn call(
        &self,
        method: Method,
        connection: &str,
        body: Bytes,
        turn: &Turn,
    ) -> Result<StatusCode, NoAnswer> {
        let Inner { site, pool, signer, .. } = &*self.inner;
        let request = signer.signed(method, self.uri(connection)?, body).await?;
        Ok(pool.send(site, turn, request.map(Full::new)).await?.status)
    }

    /// The address of a connection.
    pub(super) fn uri(&self, connection: &str) -> Result<Uri, Unsigned> {
        // As a part of a path these are no names: what is signed, or who passes it on, makes another path of it.
        if matches!(connection, "" | "." | "..") {
            return Err(Unsigned::Unmade);
        }
        let uri = format!("{}/@connections/{}", self.inner.endpoint, utf8_percent_encode(connection, RESERVED));
        Uri::try_from(uri).map_err(|_| Unsigned::Unmade)
    }
}

/// What all addresses of an API begin with. The port that a scheme has anyway is left out: the signature is one of a host
/// without it, and the host is sent as it stands here.
fn base(uri: &Uri) -> Option<String> {
    let (scheme, host) = (uri.scheme_str()?, uri.host()?);
    let port = match (scheme, uri.port_u16()) {
        ("https", Some(443)) | ("http", Some(80)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    let path = uri.path().trim_end_matches('/');
    uri.query().is_none().then(|| format!("{scheme}://{host}{port}{path}"))
}
