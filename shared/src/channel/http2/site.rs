//! Where connections go.

use http::Uri;

/// An endpoint that is not an `https://` address. In the clear, a credential would be anybody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint must be an https address")]
pub(in crate::channel) struct InvalidEndpoint;

/// A host and port, and whose connections to it these are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::channel) struct Site {
    host: String,
    port: u16,
    owner: String,
    is_plain: bool,
}

impl Site {
    /// The site of an endpoint. Vendors that do not want two credentials on one connection get an `owner`; for others
    /// it is empty, and all apps share.
    pub(in crate::channel) fn new(endpoint: &Uri, owner: impl Into<String>) -> Result<Self, InvalidEndpoint> {
        match Self::also_plain(endpoint)? {
            Self { is_plain: true, .. } => Err(InvalidEndpoint),
            site => Ok(Self { owner: owner.into(), ..site }),
        }
    }

    /// The site of an endpoint that may be an `http://` one: where what is sent proves who we are, and does not enable
    /// anyone else to. All share it.
    pub(in crate::channel) fn also_plain(endpoint: &Uri) -> Result<Self, InvalidEndpoint> {
        let (is_plain, port) = match endpoint.scheme_str() {
            Some("https") => (false, 443),
            Some("http") => (true, 80),
            _ => return Err(InvalidEndpoint),
        };
        let host = endpoint.host().ok_or(InvalidEndpoint)?;
        // An IPv6 address stands in brackets in an address, and nowhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: endpoint.port_u16().unwrap_or(port), owner: String::new(), is_plain })
    }

    /// The name or address of the host.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether there is no TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(endpoint: &'static str) -> Result<Site, InvalidEndpoint> {
        Site::new(&Uri::from_static(endpoint), "")
    }

    #[test]
    fn only_https_endpoints_are_sites_unless_plain_ones_may_be() {
        assert_eq!(site("http://localhost:80"), Err(InvalidEndpoint));
        assert_eq!(site("/path"), Err(InvalidEndpoint));
        assert_eq!(site("https://localhost").map(|site| site.port()), Ok(443));
        let plain =
            Site::also_plain(&Uri::from_static("http://127.0.0.1/live")).map(|site| (site.port(), site.is_plain()));
        assert_eq!(plain, Ok((80, true)));
        assert_eq!(Site::also_plain(&Uri::from_static("ftp://localhost/")), Err(InvalidEndpoint));
        assert_eq!(site("https://[::1]:8443/x").map(|site| site.host().to_owned()), Ok("::1".to_owned()));
    }
}
