//! Which call a path and a method ask for.

use fanfare::dialect::{rongcloud, tencent};
use http::Method;

/// A call of this function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// One of Tencent's contract.
    Tencent(&'static tencent::Command),
    /// One of RongCloud's contract.
    Rongcloud(&'static rongcloud::Command),
    /// One about the caller's own devices.
    Devices(DeviceCall<'a>),
    /// None of ours.
    Unknown,
}

/// A call about devices, with the device's id as the path has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceCall<'a> {
    List,
    Put(&'a str),
    Delete(&'a str),
    /// The path is there, but not with this method.
    WrongMethod {
        /// Those that it has, as `Allow` lists them.
        allowed: &'static str,
    },
    /// No such path, of those that client apps call.
    NoSuchPath,
}

impl<'a> Route<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Self {
        if path.starts_with("/v4/") {
            let command =
                tencent::Command::of(path).filter(|command| method == Method::POST && !command.call.is_push());
            return command.map_or(Self::Unknown, Self::Tencent);
        }
        let Some(path) = path.strip_prefix("/v1/") else { return Self::rongcloud(method, path) };
        Self::Devices(match path.strip_prefix("devices").map(|rest| rest.strip_prefix('/').ok_or(rest)) {
            Some(Err("")) if method == Method::GET => DeviceCall::List,
            Some(Err("")) => DeviceCall::WrongMethod { allowed: "GET" },
            Some(Ok(id)) if !id.contains('/') => match *method {
                Method::PUT => DeviceCall::Put(id),
                Method::DELETE => DeviceCall::Delete(id),
                _ => DeviceCall::WrongMethod { allowed: "PUT, DELETE" },
            },
            _ => DeviceCall::NoSuchPath,
        })
    }

    fn rongcloud(method: &Method, path: &str) -> Self {
        match rongcloud::Command::of(path).filter(|command| command.call.is_about_users()) {
            Some(command) if method == Method::POST => Self::Rongcloud(command),
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_command_has_its_path() {
        for command in tencent::Command::ALL.iter().filter(|command| !command.call.is_push()) {
            let path = format!("/v4/{}", command.path);
            assert_eq!(Route::of(&Method::POST, &path), Route::Tencent(command));
            assert_eq!(Route::of(&Method::GET, &path), Route::Unknown);
            assert_eq!(Route::of(&Method::POST, &(path + "/")), Route::Unknown);
        }
        for path in ["/", "", "/v4/all_member_push/im_push", "/v4/", "/v3/all_member_push/im_get_tag", "/v1"] {
            assert_eq!(Route::of(&Method::POST, path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn calls_about_users_have_the_paths_of_the_other_contract() {
        for command in rongcloud::Command::ALL {
            let of = |method: Method, path: &str| match Route::of(&method, path) {
                Route::Rongcloud(command) => Some(command),
                _ => None,
            };
            let expected = command.path.starts_with("/user/").then_some(command);
            assert_eq!(of(Method::POST, command.path), expected, "{}", command.path);
            assert_eq!(of(Method::POST, &format!("{}/", command.path)), None);
            assert_eq!(of(Method::GET, command.path), None);
        }
        assert_eq!(Route::of(&Method::GET, "/user/tag/set.json"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/user/tags/set.json"), Route::Unknown);
    }

    #[test]
    fn devices_are_called_by_method() {
        let of = |method: Method, path| match Route::of(&method, path) {
            Route::Devices(call) => Some(call),
            _ => None,
        };
        assert_eq!(of(Method::GET, "/v1/devices"), Some(DeviceCall::List));
        assert_eq!(of(Method::POST, "/v1/devices"), Some(DeviceCall::WrongMethod { allowed: "GET" }));
        assert_eq!(of(Method::PUT, "/v1/devices/d-1"), Some(DeviceCall::Put("d-1")));
        assert_eq!(of(Method::DELETE, "/v1/devices/d-1"), Some(DeviceCall::Delete("d-1")));
        assert_eq!(of(Method::GET, "/v1/devices/d-1"), Some(DeviceCall::WrongMethod { allowed: "PUT, DELETE" }));
        for path in ["/v1/devices/d/1", "/v1/devicesx", "/v1/device", "/v1/"] {
            assert_eq!(of(Method::PUT, path), Some(DeviceCall::NoSuchPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_routed(path in "(/|v1|v4|devices|all_member_push|im_push|user/tags|get.json|\\PC){0,9}", method in "[A-Z]{1,7}") {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let route = Route::of(&method, &path);
            let is_known = path.starts_with("/v1/") || rongcloud::Command::of(&path).is_some();
            prop_assert!(is_known || route == Route::Unknown);
        }
    }
}
