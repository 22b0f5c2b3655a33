//! Which route of an HTTP API answers a request.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A route's key: `GET /users/{id}`, `ANY /{rest+}`, `$default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKey {
    /// Whatever no other route takes.
    Default,
    /// A method and a path.
    Path {
        /// Nothing stands for `ANY`.
        method: Option<String>,
        /// The path's parts.
        segments: Vec<Segment>,
    },
}

/// One part of a route's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this.
    Literal(String),
    /// Anything, under this name.
    Parameter(String),
    /// Everything that is left, under this name.
    Rest(String),
}

/// A route key that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a route key")]
pub struct NotARouteKey(String);

/// What a path's parameters were in a request.
pub type Parameters = BTreeMap<String, String>;

/// How well a route fits: literal parts count most, then a method of its own.
type Fit = (Vec<u8>, bool);

/// Finds the route that fits best, as API Gateway does: the most literal path, then the method.
pub fn find<'r, R>(
    routes: &'r [R],
    key: impl Fn(&R) -> &RouteKey,
    method: &str,
    path: &str,
) -> Option<(&'r R, Parameters)> {
    let mut best: Option<(&R, Parameters, Fit)> = None;
    for route in routes {
        if let Some((parameters, fit)) = key(route).matches(method, path)
            && best.as_ref().is_none_or(|(_, _, other)| fit > *other)
        {
            best = Some((route, parameters, fit));
        }
    }
    best.map(|(route, parameters, _)| (route, parameters))
}

impl RouteKey {
    fn matches(&self, method: &str, path: &str) -> Option<(Parameters, Fit)> {
        let RouteKey::Path { method: own, segments } = self else {
            return Some((Parameters::new(), (Vec::new(), false)));
        };
        if own.as_ref().is_some_and(|own| own != method) {
            return None;
        }
        // The path as it is: of two slashes in front, the second opens an empty part, which is no literal.
        let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let mut parameters = Parameters::new();
        let mut fit = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let part = parts.get(index)?;
            match segment {
                Segment::Literal(text) if text == part => fit.push(3),
                Segment::Literal(_) => return None,
                Segment::Parameter(_) if part.is_empty() => return None,
                Segment::Parameter(name) => {
                    parameters.insert(name.clone(), (*part).to_owned());
                    fit.push(2);
                }
                Segment::Rest(name) => {
                    parameters.insert(name.clone(), parts[index..].join("/"));
                    fit.push(1);
                    return Some((parameters, (fit, own.is_some())));
                }
            }
        }
        (segments.len() == parts.len()).then(|| (parameters, (fit, own.is_some())))
    }
}

impl std::fmt::Display for RouteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RouteKey::Path { method, segments } = self else {
            return f.write_str("$default");
        };
        write!(f, "{} ", method.as_deref().unwrap_or("ANY"))?;
        for segment in segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
                Segment::Rest(name) => write!(f, "/{{{name}+}}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for RouteKey {
    type Err = NotARouteKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "$default" {
            return Ok(RouteKey::Default);
        }
        let error = || NotARouteKey(text.to_owned());
        let (method, path) = text.split_once(' ').ok_or_else(error)?;
        let method = match method {
            "ANY" => None,
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => Some(method.to_owned()),
            _ => return Err(error()),
        };
        let path = path.strip_prefix('/').ok_or_else(error)?;
        let segments: Vec<Segment> = path.split('/').map(segment).collect();
        let rest = segments.iter().position(|segment| matches!(segment, Segment::Rest(_)));
        if rest.is_some_and(|position| position + 1 != segments.len()) {
            return Err(error());
        }
        Ok(RouteKey::Path { method, segments })
    }
}

fn segment(text: &str) -> Segment {
    let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match name {
        None => Segment::Literal(text.to_owned()),
        Some(name) => match name.strip_suffix('+') {
            Some(name) => Segment::Rest(name.to_owned()),
            None => Segment::Parameter(name.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> Option<(String, Parameters)> {
        let routes: Vec<RouteKey> = [
            "$default",
            "ANY /{everything+}",
            "ANY /v4/push/{command}",
            "POST /v4/push/im_push",
            "GET /v4/push/{command}",
            "ANY /v1/devices",
            "ANY /v1/devices/{device_id}",
        ]
        .iter()
        .map(|key| key.parse().unwrap())
        .collect();
        find(&routes, |key| key, method, path).map(|(key, found)| (key.to_string(), found))
    }

    fn key(method: &str, path: &str) -> String {
        route(method, path).unwrap().0
    }

    #[test]
    fn the_most_literal_path_wins_whatever_the_order() {
        assert_eq!(key("POST", "/v4/push/im_push"), "POST /v4/push/im_push");
        assert_eq!(key("POST", "/v4/push/im_other"), "ANY /v4/push/{command}");
        assert_eq!(key("POST", "/v4/other"), "ANY /{everything+}");
    }

    #[test]
    fn a_method_of_its_own_wins_over_any() {
        assert_eq!(key("GET", "/v4/push/im_push"), "GET /v4/push/{command}");
    }

    #[test]
    fn parameters_are_named() {
        let (key, parameters) = route("DELETE", "/v1/devices/phone-1").unwrap();
        assert_eq!(key, "ANY /v1/devices/{device_id}");
        assert_eq!(parameters["device_id"], "phone-1");
    }

    #[test]
    fn a_parameter_is_never_empty() {
        assert_eq!(key("GET", "/v1/devices/"), "ANY /{everything+}");
    }

    #[test]
    fn the_rest_takes_all_that_is_left() {
        let (_, parameters) = route("GET", "/a/b/c").unwrap();
        assert_eq!(parameters["everything"], "a/b/c");
    }

    #[test]
    fn slashes_in_a_row_are_parts_that_are_empty() {
        assert_eq!(key("POST", "//v4/push/im_push"), "ANY /{everything+}");
        assert_eq!(key("POST", "/v4//push/im_push"), "ANY /{everything+}");
        let routes: Vec<RouteKey> = vec!["$default".parse().unwrap(), "ANY /push/{command}".parse().unwrap()];
        let found = |path| find(&routes, |key| key, "POST", path).unwrap().0.to_string();
        assert_eq!(
            (found("/push/user.json"), found("//push/user.json")),
            ("ANY /push/{command}".into(), "$default".into())
        );
    }

    #[test]
    fn without_a_default_an_unknown_path_has_no_route() {
        let routes: Vec<RouteKey> = vec!["GET /a".parse().unwrap()];
        assert!(find(&routes, |key| key, "GET", "/b").is_none());
        assert!(find(&routes, |key| key, "POST", "/a").is_none());
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for text in ["GET", "FETCH /a", "GET a", "GET /{rest+}/b"] {
            assert!(text.parse::<RouteKey>().is_err(), "{text}");
        }
    }
}
