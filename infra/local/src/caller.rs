//! Who makes a call: every environment has an access key of its own.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The one who signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The environment, such as `push-intake.3`, which is also its access key id.
    pub environment: String,
    /// The function, such as `push-intake`.
    pub function: String,
}

impl Caller {
    /// The caller that signed a request with these headers; `unknown` when nobody did.
    pub fn of(headers: &HeaderMap) -> Self {
        let key = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(access_key_id)
            .unwrap_or("unknown");
        Self::named(key)
    }

    /// The caller with this access key id.
    pub fn named(key: &str) -> Self {
        let function = match key.rsplit_once('.') {
            Some((function, number)) if number.parse::<u64>().is_ok() => function,
            _ => key,
        };
        Self { environment: key.to_owned(), function: function.to_owned() }
    }
}

/// `AWS4-HMAC-SHA256 Credential=push-intake.3/20261121/us-east-1/sqs/aws4_request, …`
fn access_key_id(authorization: &str) -> Option<&str> {
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_key_names_environment_and_function() {
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            "AWS4-HMAC-SHA256 Credential=deliver-ws.12/20261121/us-east-1/sqs/aws4_request, \
             SignedHeaders=host, Signature=00"
                .parse()
                .unwrap(),
        );
        let caller = Caller::of(&headers);
        assert_eq!(caller.environment, "deliver-ws.12");
        assert_eq!(caller.function, "deliver-ws");
    }

    #[test]
    fn without_a_signature_nobody_is_known() {
        assert_eq!(Caller::of(&HeaderMap::new()).function, "unknown");
    }
}
