//! What proves to AWS who calls: AWS Signature Version 4.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use futures::FutureExt;
use http::{Method, Request, Uri, header};

use crate::channel::flight::Flight;
use crate::runtime::config::ConfigError;

/// The service of `@connections`, as signatures name it ("Use @connections commands in your backend service": callers are
/// authorised as for `execute-api`).
const SERVICE: &str = "execute-api";

/// Credentials are fetched anew so long before their end, so that whatever is signed with them is there in time.
const BEFORE_END: Duration = Duration::from_secs(300);

/// Those that name no end are looked up again after as long as the SDK does. Lambda's are such: they stand in the
/// environment, and end after it does.
const WITHOUT_END: Duration = Duration::from_secs(900);

/// Those that end sooner are used for as long, at least.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Why a request was not signed, and so not sent.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unsigned {
    /// There are no credentials right now.
    #[error("there are no credentials")]
    Credentials(#[source] Arc<CredentialsError>),
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Request(#[source] Arc<SigningError>),
    /// The request cannot be made: the id of the connection is none.
    #[error("the request cannot be made")]
    Unmade,
}

/// Signs requests with the credentials of the function.
pub(super) struct Signer {
    provider: SharedCredentialsProvider,
    region: String,
    kept: Flight<Kept, Unsigned>,
}

/// Credentials, and until when they are used.
#[derive(Clone)]
struct Kept {
    credentials: Credentials,
    until: SystemTime,
}

impl Kept {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let until = match credentials.expiry() {
            Some(end) => end.checked_sub(BEFORE_END).unwrap_or(now).max(now + AT_LEAST),
            None => now + WITHOUT_END,
        };
        Self { credentials, until }
    }
}

impl Signer {
    /// With the region and the credentials of a function.
    pub(super) fn new(config: &SdkConfig) -> Result<Self, ConfigError> {
        let missing = |name: &str| ConfigError::Missing(name.to_owned());
        let region = config.region().ok_or_else(|| missing("AWS_REGION"))?.to_string();
        let provider = config.credentials_provider().ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?;
        Ok(Self { provider, region, kept: Flight::new() })
    }

    /// A request that is signed now, by the machine's clock: it is AWS that looks at it.
    pub(super) async fn signed(&self, method: Method, uri: Uri, body: Bytes) -> Result<Request<Bytes>, Unsigned> {
        let mut request = Request::builder().method(method).uri(uri);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        }
        let mut request = request.body(body).map_err(|_| Unsigned::Unmade)?;
        let now = SystemTime::now();
        let credentials = self.credentials(now).await?;
        sign_at(&mut request, &credentials, &self.region, now)?;
        Ok(request)
    }

    async fn credentials(&self, now: SystemTime) -> Result<Credentials, Unsigned> {
        let provider = self.provider.clone();
        let fetch = || {
            async move {
                match provider.provide_credentials().await {
                    Ok(credentials) => Ok(Kept::new(credentials, SystemTime::now())),
                    Err(error) => Err(Unsigned::Credentials(Arc::new(error))),
                }
            }
            .boxed()
        };
        Ok(self.kept.get(|kept| now < kept.until, fetch).await?.credentials)
    }
}

/// Signs a request with all of its headers, as at a moment.
fn sign_at(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    at: SystemTime,
) -> Result<(), Unsigned> {
    let failed = |error: SigningError| Unsigned::Request(Arc::new(error));
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(at)
        // For all services but S3: the path is encoded once more, and no header repeats the hash of the body.
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| Unsigned::Unmade)?;
    let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), uri, headers, body).map_err(failed)?;
    let (instructions, _) = sign(signable, &params.into()).map_err(failed)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use aws_config::Region;
    use aws_sdk_apigatewaymanagement as management;
    use aws_smithy_types::date_time::{DateTime, Format};
    use hmac::{Hmac, KeyInit, Mac};
    use http::HeaderMap;
    use management::config::BehaviorVersion;
    use management::primitives::Blob;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::channel::testkit::Api;
    use crate::channel::turns::Turn;
    use crate::runtime::Clock;

    /// A connection as API Gateway calls them.
    const CONNECTION: &str = "L0SM9cOFvHcCIhw=";

    fn credentials() -> Credentials {
        Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            Some("a token".to_owned()),
            None,
            "test",
        )
    }

    fn config() -> SdkConfig {
        let provider = SharedCredentialsProvider::new(credentials());
        SdkConfig::builder().region(Region::new("eu-west-3")).credentials_provider(provider).build()
    }

    /// A moment: 20150830T123600Z.
    fn at() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_440_938_160)
    }

    fn hex(bytes: &[u8]) -> String {
        base16ct::lower::encode_string(bytes)
    }

    /// The header that proves a canonical request, at that moment in `us-east-1`, by the steps of "Create a signed AWS API
    /// request" in AWS's IAM guide, and nothing of ours.
    fn authorization(canonical: &str, headers: &str) -> String {
        let scope = "20150830/us-east-1/execute-api/aws4_request";
        let to_sign = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        for part in scope.split('/').chain([to_sign.as_str()]) {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(part.as_bytes());
            key = mac.finalize().into_bytes().to_vec();
        }
        format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={headers}, Signature={}", hex(&key))
    }

    /// What API Gateway computes of a request without a body, as it arrives: of the path and the host that are sent.
    fn as_checked(method: &str, sent: &Uri) -> String {
        let twice = |byte: u8| match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        let path: String = sent.path().bytes().map(twice).collect();
        let headers = "host;x-amz-date;x-amz-security-token";
        let canonical = format!(
            "{method}\n{path}\n\nhost:{}\nx-amz-date:20150830T123600Z\nx-amz-security-token:a token\n\n{headers}\n{}",
            sent.authority().unwrap(),
            hex(&Sha256::digest(""))
        );
        authorization(&canonical, headers)
    }

    fn client(endpoint: &str) -> super::super::Client {
        super::super::Client::new(&config(), &|_: &str| Some(endpoint.to_owned()), Clock::system()).unwrap()
    }

    #[test]
    fn the_host_that_is_signed_is_the_one_that_is_sent_whatever_port_it_names() {
        for (endpoint, sent) in [
            ("https://abc.example/live", "https://abc.example/live/@connections/id"),
            ("https://abc.example:443/live/", "https://abc.example/live/@connections/id"),
            ("https://abc.example:80/live", "https://abc.example:80/live/@connections/id"),
            ("https://abc.example:8443", "https://abc.example:8443/@connections/id"),
            ("http://abc.example:80", "http://abc.example/@connections/id"),
            ("http://[::1]:443/live", "http://[::1]:443/live/@connections/id"),
        ] {
            let uri = client(endpoint).uri("id").unwrap();
            assert_eq!(uri.to_string(), sent);
            let mut request = Request::delete(uri.clone()).body(Bytes::new()).unwrap();
            sign_at(&mut request, &credentials(), "us-east-1", at()).unwrap();
            assert_eq!(request.headers()["authorization"], as_checked("DELETE", &uri), "{endpoint}");
        }
    }

    #[test]
    fn a_signature_is_what_awss_guide_says_it_is() {
        let uri = "https://abc.execute-api.us-east-1.amazonaws.com/live/@connections/a%2Fb%3D";
        let mut request = Request::post(uri).header("content-type", "text/plain").body("hello".into()).unwrap();
        sign_at(&mut request, &credentials(), "us-east-1", at()).unwrap();
        let canonical = format!(
            "POST\n/live/%40connections/a%252Fb%253D\n\ncontent-type:text/plain\n\
             host:abc.execute-api.us-east-1.amazonaws.com\nx-amz-date:20150830T123600Z\nx-amz-security-token:a token\n\n\
             content-type;host;x-amz-date;x-amz-security-token\n{}",
            hex(&Sha256::digest("hello"))
        );
        let expected = authorization(&canonical, "content-type;host;x-amz-date;x-amz-security-token");
        assert_eq!(request.headers()["authorization"], expected);
        assert_eq!(request.headers()["x-amz-security-token"], "a token");
    }

    /// The very requests that the SDK has sent, signed by us as at the same moment.
    #[tokio::test]
    async fn a_request_has_the_signature_and_the_path_that_the_sdk_gives_it() {
        let api = Api::start(|_, _| 200).await;
        let sdk = management::Config::from(&config())
            .to_builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .endpoint_url(&api.endpoint)
            .build();
        let sdk = management::Client::from_conf(sdk);
        let ours = client(&api.endpoint);
        for connection in [CONNECTION, "ab/c=", "a b+c~d-e_f.g*(h)'!", "é"] {
            let body = Bytes::from_static(b"a frame");
            let post = sdk.post_to_connection().connection_id(connection).data(Blob::new(body.clone()));
            post.send().await.unwrap();
            sdk.delete_connection().connection_id(connection).send().await.unwrap();
            ours.call(Method::POST, connection, body, &Turn::free()).await.unwrap();
            ours.call(Method::DELETE, connection, Bytes::new(), &Turn::free()).await.unwrap();

            let all = api.requests();
            let [post, delete, our_post, our_delete] = &all[all.len() - 4..] else { panic!("four requests") };
            for (theirs, our) in [(post, our_post), (delete, our_delete)] {
                assert_eq!((theirs.method(), theirs.uri()), (our.method(), our.uri()));
                assert_eq!(theirs.body(), our.body());
                assert_eq!(theirs.headers().get("content-type"), our.headers().get("content-type"));
                for request in [theirs, our] {
                    assert_eq!(
                        signed_again(request, &api.endpoint),
                        request.headers()["authorization"],
                        "{connection}"
                    );
                }
            }
        }
    }

    /// What we sign a request with that has been signed before.
    fn signed_again(signed: &Request<Bytes>, endpoint: &str) -> http::HeaderValue {
        let header = |name: &str| signed.headers()[name].to_str().unwrap();
        let (_, names) = header("authorization").split_once("SignedHeaders=").unwrap();
        let names = names.split(',').next().unwrap().split(';');
        let own = ["host", "x-amz-date", "x-amz-security-token"];
        let kept: HeaderMap = names
            .filter(|name| !own.contains(name))
            .map(|name| (name.parse().unwrap(), signed.headers()[name].clone()))
            .collect();
        let date = header("x-amz-date");
        let date = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &date[..4],
            &date[4..6],
            &date[6..8],
            &date[9..11],
            &date[11..13],
            &date[13..15]
        );
        let at = SystemTime::try_from(DateTime::from_str(&date, Format::DateTime).unwrap()).unwrap();
        let host = endpoint.strip_suffix("/live").unwrap();
        let mut again = Request::builder().method(signed.method()).uri(format!("{host}{}", signed.uri()));
        *again.headers_mut().unwrap() = kept;
        let mut again = again.body(signed.body().clone()).unwrap();
        sign_at(&mut again, &credentials(), "eu-west-3", at).unwrap();
        again.headers()["authorization"].clone()
    }

    /// Credentials that end so many seconds after they were fetched, and how often they were.
    #[derive(Debug)]
    struct Short(Arc<std::sync::atomic::AtomicU32>, Option<u64>);

    impl ProvideCredentials for Short {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let times = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let end = self.1.map(|secs| SystemTime::now() + Duration::from_secs(secs));
            let fetched = match times {
                0 => Err(CredentialsError::not_loaded_no_source()),
                _ => Ok(Credentials::new(format!("KEY{times}"), "secret", None, end, "test")),
            };
            aws_credential_types::provider::future::ProvideCredentials::ready(fetched)
        }
    }

    #[tokio::test]
    async fn credentials_are_fetched_once_until_shortly_before_their_end_and_never_kept_when_they_are_none() {
        // Seconds from now at which they are used, and which of those that were fetched are.
        for (end, used) in [
            (Some(1_000), [(0, "KEY1"), (690, "KEY1"), (710, "KEY2")]),
            // They end sooner than they would be fetched anew.
            (Some(10), [(0, "KEY1"), (0, "KEY1"), (2, "KEY2")]),
            (None, [(0, "KEY1"), (890, "KEY1"), (910, "KEY2")]),
        ] {
            let times = Arc::default();
            let provider = SharedCredentialsProvider::new(Short(Arc::clone(&times), end));
            let config = SdkConfig::builder().region(Region::new("local")).credentials_provider(provider).build();
            let signer = Signer::new(&config).unwrap();
            let error = signer.credentials(SystemTime::now()).await.unwrap_err();
            assert!(matches!(error, Unsigned::Credentials(_)), "{error}");
            let start = SystemTime::now();
            for (after, key) in used {
                let credentials = signer.credentials(start + Duration::from_secs(after)).await.unwrap();
                assert_eq!(credentials.access_key_id(), key, "{end:?} at {after}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_connection_is_called_its_path_names_it_and_is_what_is_signed(
            id in prop_oneof![".{0,40}", "[./%]{0,4}", "[a-zA-Z0-9_=-]{1,20}"],
        ) {
            thread_local!(static CLIENT: super::super::Client = client("https://abc.example/live"));
            let Ok(uri) = CLIENT.with(|client| client.uri(&id)) else {
                prop_assert!(["", ".", ".."].contains(&id.as_str()), "{id}");
                return Ok(());
            };
            let parts: Vec<&str> = uri.path().split('/').collect();
            let ["", "live", "@connections", name] = parts[..] else { panic!("{uri}") };
            prop_assert_eq!(percent_encoding::percent_decode_str(name).decode_utf8().unwrap(), id.as_str());
            prop_assert!(!["", ".", ".."].contains(&name) && uri.query().is_none());
            let mut request = Request::post(uri.clone()).body(Bytes::new()).unwrap();
            sign_at(&mut request, &credentials(), "us-east-1", at()).unwrap();
            prop_assert_eq!(request.headers()["authorization"].to_str().unwrap(), as_checked("POST", &uri));
        }
    }
}
