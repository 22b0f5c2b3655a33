//! Where an app hears: its webhook's URL, and whether we go there.

use std::net::IpAddr;

use fanfare::domain::Webhook;
use url::{Host, Url};

use crate::address::is_public;

/// Why a receiver is not called. Trying again would not help: a person must change the app's settings. None of them
/// repeats the URL, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the URL of the webhook cannot be read")]
    Unreadable,
    #[error("the URL of the webhook is not http or https")]
    Scheme,
    #[error("the URL of the webhook holds a user name or a password")]
    UserInfo,
    #[error("the address of the webhook is not public")]
    NotPublic,
}

/// A server that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    url: Url,
    /// Whether it may be in a private network.
    pub allow_private: bool,
}

impl Receiver {
    /// The receiver of a webhook. An address that is written out is judged here, in whatever form it is written;
    /// a name, when it is resolved.
    pub(crate) fn of(webhook: &Webhook) -> Result<Self, Refusal> {
        let mut url = Url::parse(&webhook.url).map_err(|_| Refusal::Unreadable)?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        let literal = match url.host().ok_or(Refusal::Unreadable)? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if literal.is_some_and(|address| !webhook.allow_private && !is_public(address)) {
            return Err(Refusal::NotPublic);
        }
        url.set_fragment(None);
        Ok(Self { url, allow_private: webhook.allow_private })
    }

    /// Its host, which may be logged.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Its URL with parameters behind those that it has.
    pub(crate) fn with(&self, parameters: &[(&'static str, String)]) -> String {
        let mut url = self.url.clone();
        // Without any there would be a question mark all the same.
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url.into()
    }
}

/// The host of a URL that is refused, if it has one: what may be logged of it.
pub(crate) fn host_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.host_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use fanfare::domain::WebhookEvent;

    use super::*;

    fn webhook(url: &str, allow_private: bool) -> Webhook {
        let events = [WebhookEvent::Push].into();
        Webhook { url: url.to_owned(), token: None, events, rate: 1, allow_private }
    }

    fn refusal(url: &str) -> Option<Refusal> {
        Receiver::of(&webhook(url, false)).err()
    }

    #[test]
    fn a_public_address_or_a_name_is_called() {
        for url in
            ["https://example.com/hook", "http://example.com:8080", "https://1.1.1.1/", "https://[2606:4700::1111]"]
        {
            assert_eq!(refusal(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_that_is_not_public_is_refused_however_it_is_written() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://１２７.0.0.1/",
            "http://127。0。0。1/",
            "http://127.0.0.1./",
            "http://0/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[fd00::1]/",
        ] {
            assert_eq!(refusal(url), Some(Refusal::NotPublic), "{url}");
            assert_eq!(Receiver::of(&webhook(url, true)).err(), None, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_web_server_is_refused() {
        for (url, expected) in [
            ("", Refusal::Unreadable),
            ("/hook", Refusal::Unreadable),
            ("https://", Refusal::Unreadable),
            ("http://[fe80::1%25eth0]/", Refusal::Unreadable),
            ("ftp://example.com", Refusal::Scheme),
            ("file:///etc/passwd", Refusal::Scheme),
            ("gopher://example.com", Refusal::Scheme),
            ("https://user@example.com", Refusal::UserInfo),
            ("https://:secret@example.com", Refusal::UserInfo),
            ("https://example.com@127.0.0.1", Refusal::UserInfo),
        ] {
            assert_eq!(refusal(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn parameters_follow_those_that_the_url_has() {
        let with = |url: &str| {
            let parameters = [("a", "1".to_owned()), ("b", "x&y z".to_owned())];
            Receiver::of(&webhook(url, false)).unwrap().with(&parameters)
        };
        assert_eq!(with("https://example.com"), "https://example.com/?a=1&b=x%26y+z");
        assert_eq!(with("https://example.com/hook?key=k%20k#part"), "https://example.com/hook?key=k%20k&a=1&b=x%26y+z");
        assert_eq!(with("https://example.com/hook?"), "https://example.com/hook?a=1&b=x%26y+z");
    }

    #[test]
    fn of_a_refused_url_only_the_host_is_told() {
        assert_eq!(host_of("http://user:secret@127.1/secret?secret").as_deref(), Some("127.0.0.1"));
        assert_eq!(host_of("secret"), None);
        for refusal in [Refusal::Unreadable, Refusal::Scheme, Refusal::UserInfo, Refusal::NotPublic] {
            assert!(!refusal.to_string().contains("://"));
        }
    }
}
