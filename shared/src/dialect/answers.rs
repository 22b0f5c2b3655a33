//! What is answered where no call is done: to a path that no contract has, and for a function that did not get it done.
//!
//! Below `/v4/` it is Tencent's answer, and everywhere else RongCloud's, because its SDKs read every answer as JSON with a
//! `code`, and take another host for the better one if it is none.

use http::header::ALLOW;
use http::{HeaderValue, Method, Response};

use super::{rongcloud, tencent};

/// The answer to a path or a method that no contract has, or that is not called where it arrived.
pub fn unknown(method: &Method, path: &str) -> Response<String> {
    if path.starts_with("/v4/") {
        let info = "there is no such call, or not with this method: check the URL";
        return tencent::Reply::from(tencent::Error::new(tencent::Code::UnknownResource, info)).into_http();
    }
    if rongcloud::Command::of(path).is_some() && method != Method::POST {
        let error = rongcloud::Error::new(rongcloud::Code::MethodNotAllowed, "the path is called with POST");
        let mut answer = rongcloud::Reply::failed(path, &error).into_http();
        // RFC 9110, 15.5.6.
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return answer;
    }
    let error = rongcloud::Error::new(rongcloud::Code::NotFound, "there is no such path: check the URL");
    rongcloud::Reply::failed(path, &error).into_http()
}

/// The answer to a call that failed here.
pub fn failed(path: &str) -> Response<String> {
    not_done(path, rongcloud::Error::internal())
}

/// The answer to a call that took too long here. What it asked for may have been done; where it cannot be told so by a
/// number, as in Tencent's contract, it counts as failed.
pub fn too_slow(path: &str) -> Response<String> {
    not_done(path, rongcloud::Error::too_slow())
}

fn not_done(path: &str, error: rongcloud::Error) -> Response<String> {
    if !path.starts_with("/v4/") {
        return rongcloud::Reply::failed(path, &error).into_http();
    }
    let command = tencent::Command::of(path);
    let code = command.map_or(tencent::Code::Internal, |command| command.call.internal());
    let error = tencent::Error::new(code, error.info);
    let reply = match command {
        Some(command) => tencent::push::answer(command.call, Err(error)),
        None => error.into(),
    };
    reply.into_http()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(answer: Response<String>) -> (u16, Value) {
        (answer.status().as_u16(), serde_json::from_str(answer.body()).unwrap())
    }

    fn answer(method: Method, path: &str) -> (u16, Value) {
        told(unknown(&method, path))
    }

    #[test]
    fn each_contract_has_its_own_way_to_say_that_there_is_no_such_call() {
        for (method, path) in [(Method::POST, "/v4/openim/nothing"), (Method::GET, "/v4/"), (Method::PUT, "/v4/x/y/z")]
        {
            let (status, answer) = answer(method, path);
            assert_eq!((status, &answer["ErrorCode"], &answer["ActionStatus"]), (200, &json!(60009), &json!("FAIL")));
        }
        for (method, path, code) in [
            (Method::POST, "/", 404),
            (Method::POST, "", 404),
            (Method::GET, "/v4", 404),
            (Method::POST, "/push", 404),
            (Method::POST, "/push.json/", 404),
            (Method::GET, "/push.json", 405),
            (Method::DELETE, "//user/tag/set.json", 405),
            // It is there; whoever asks for this answer found that it was not to be called where it arrived.
            (Method::POST, "//user/tag/set.json", 404),
        ] {
            let answer = unknown(&method, path);
            let allowed = answer.headers().get(ALLOW).map(HeaderValue::as_bytes);
            assert_eq!(allowed, (code == 405).then_some(&b"POST"[..]), "{method} {path}");
            let (status, answer) = told(answer);
            assert_eq!((u64::from(status), &answer["code"], &answer["url"]), (code, &json!(code), &json!(path)));
            assert!(answer["errorMessage"].is_string());
        }
    }

    #[test]
    fn what_was_not_done_is_answered_in_the_words_of_its_contract() {
        let path = "//push/user.json";
        for (answer, number) in [(failed(path), (500, 1000)), (too_slow(path), (504, 1050))] {
            let (status, json) = told(answer);
            assert_eq!((status, &json["code"], &json["url"]), (number.0, &json!(number.1), &json!(path)));
            assert!(json["errorMessage"].is_string());
        }
        for (path, code, task_id) in [
            ("/v4/timpush/batch", 91000, json!("")),
            ("/v4/all_member_push/im_push", 91000, Value::Null),
            ("/v4/im_open_login_svc/kick", 70500, Value::Null),
            ("/v4/nothing", 91000, Value::Null),
        ] {
            for answer in [failed(path), too_slow(path)] {
                let (status, json) = told(answer);
                assert_eq!((status, &json["ErrorCode"], &json["TaskId"]), (200, &json!(code), &task_id), "{path}");
            }
        }
    }
}
