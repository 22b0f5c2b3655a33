//! The stack with a function of its own: every way in, and every way that things go wrong.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "all of this crate is a test")]

mod probe;
mod support;

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Running, eventually};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

type Test = Result<(), Box<dyn std::error::Error>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_an_event_and_its_answer_a_response() -> Test {
    let stack = Running::start().await;
    let url = stack.url("/echo/a%20b?x=1&x=2&y=%C3%A9");
    let request = stack.http.put(url).header("X-Two", "a").header("X-Two", "b").header("cookie", "c=1; d=2");
    let response = request.json(&json!({"hello": "world"})).send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await?;
    let event = &answer["event"];
    assert_eq!(event["routeKey"], "ANY /echo/{name}");
    assert_eq!(event["rawPath"], "/echo/a b");
    assert_eq!(event["rawQueryString"], "x=1&x=2&y=%C3%A9");
    assert_eq!(event["queryStringParameters"], json!({"x": "1,2", "y": "é"}));
    assert_eq!(event["pathParameters"]["name"], "a b");
    assert_eq!(event["headers"]["x-two"], "a,b");
    assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
    assert_eq!(event["body"], r#"{"hello":"world"}"#);
    assert_eq!(event["isBase64Encoded"], false);
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(answer["arn"], "arn:aws:lambda:us-east-1:000000000000:function:web");

    let binary = stack.http.post(stack.url("/echo/x")).body(vec![0xff, 0]).send().await?;
    let event = &binary.json::<Value>().await?["event"];
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_takes_and_what_is_too_large_is_refused() -> Test {
    let stack = Running::start().await;
    let response = stack.http.get(stack.url("/nothing")).send().await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.json::<Value>().await?, json!({"message": "Not Found"}));
    let response = stack.http.post(stack.url("/echo/x")).body(vec![b'x'; 10 * 1024 * 1024 + 1]).send().await?;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_read_answers() -> Test {
    let stack = Running::start().await;
    let ask = |origin| stack.http.get(stack.url("/echo/x")).header("origin", origin).send();
    let allowed = ask("https://app.example").await?;
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example");
    let other = ask("https://other.example").await?;
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_a_crash_and_a_timeout_are_answered_and_counted() -> Test {
    let stack = Running::start().await;
    for action in ["fail", "crash", "sleep"] {
        let begun = Instant::now();
        let response = stack.act(action, "").await?;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{action}");
        assert_eq!(response.json::<Value>().await?, json!({"message": "Internal Server Error"}));
        assert!(begun.elapsed() < Duration::from_secs(8));
    }
    let web = stack.function("web").await?;
    assert_eq!((&web["invocations"], &web["errors"]), (&json!(3), &json!(3)));
    assert_eq!(web["environments"], json!([]), "the one that timed out was killed");
    assert_eq!(web["cold_starts"], 2, "a failure keeps its environment, a crash does not");
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_gets_as_much_time_as_is_asked_for() -> Test {
    let stack = Running::start().await;
    stack.put("/_local/functions", &json!({"web": {"timeout_seconds": 1}})).await?;
    for limits in [
        json!({"wed": {"timeout_seconds": 9}}),
        json!({"web": {"timeout_seconds": 0}}),
        json!({"web": {"timeout_seconds": 901}}),
        json!({"web": {"timeout": 9}}),
    ] {
        let response = stack.http.put(stack.url("/_local/functions")).json(&limits).send().await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{limits}");
        assert!(response.json::<Value>().await?["error"].is_string());
    }
    // What was refused changed nothing; the template says two seconds.
    for (limits, secs) in [(None, 1), (Some(json!({})), 2)] {
        if let Some(limits) = limits {
            stack.put("/_local/functions", &limits).await?;
        }
        let begun = Instant::now();
        stack.act("sleep", "").await?;
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(secs) && (secs > 1 || took < Duration::from_secs(2)), "{secs} s: {took:?}");
    }
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_kept_warm_and_knows_only_what_it_is_told() -> Test {
    let stack = Running::start().await;
    for _ in 0..3 {
        let answer: Value = stack.act("environment", "").await?.json().await?;
        assert_eq!((&answer["key"], &answer["home"]), (&json!("web.1"), &Value::Null));
    }
    let web = stack.function("web").await?;
    assert_eq!(web["cold_starts"], 1);
    assert!(web["environments"][0]["memory_bytes"].as_u64().unwrap() > 1_000_000);
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_was_killed_while_it_was_idle_is_missed_by_nobody() -> Test {
    let stack = Running::start().await;
    for _ in 0..5 {
        assert_eq!(stack.act("environment", "").await?.status(), StatusCode::OK);
        let pid = stack.function("web").await?["environments"][0]["pid"].as_u64().unwrap();
        support::kill(pid);
        // Until it has really ended, a request may still reach it, and fail as on AWS.
        while support::runs(pid) {}
    }
    assert_eq!(stack.function("web").await?["errors"], 0);
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_have_environments_of_their_own_up_to_the_limit() -> Test {
    let stack = Running::start().await;
    let calls = (0..12).map(|_| stack.act("environment", ""));
    for response in futures::future::join_all(calls).await {
        assert_eq!(response?.status(), StatusCode::OK);
    }
    let started = stack.function("web").await?["cold_starts"].as_u64().unwrap();
    assert!((2..=4).contains(&started), "{started}");
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_count_is_added_up() -> Test {
    let stack = Running::start().await;
    assert_eq!(stack.local("/metrics").await?, json!({}));
    assert_eq!(stack.act("count", "").await?.status(), StatusCode::ACCEPTED);
    let sums = json!({"Delivered": {"fcm": 4}, "Stopped": {"fcm": 1}});
    eventually(async || stack.local("/metrics").await.unwrap() == sums).await;
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_worked_on_and_what_it_cost_is_known() -> Test {
    let stack = Running::start().await;
    assert_eq!(stack.act("send", "one").await?.status(), StatusCode::ACCEPTED);
    stack.idle().await?;
    assert_eq!(stack.lines("work").await?, ["worked on one"]);
    let sqs = stack.local("/usage").await?["sqs"].clone();
    assert_eq!(sqs["requests"], 3, "a send, a receive, a delete: {sqs}");
    assert_eq!(sqs["queues"]["WorkQueue"]["SendMessage"]["requests"], 1);
    assert_eq!(sqs["functions"]["web"]["requests"], 1);
    assert_eq!(sqs["functions"]["work"]["requests"], 2);
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_messages_that_failed_stay_and_come_back_when_the_clock_moves() -> Test {
    let stack = Running::start().await;
    for body in ["fail", "two"] {
        stack.act("send", body).await?;
    }
    eventually(|| async { stack.local("/queues").await.unwrap()["WorkQueue"]["in_flight"] == 1 }).await;
    eventually(|| async { stack.lines("work").await.unwrap() == ["worked on two"] }).await;
    let received = |usage: &Value| usage["sqs"]["queues"]["WorkQueue"]["ReceiveMessage"]["messages"].clone();
    assert_eq!(received(&stack.local("/usage").await?), 2);

    for times in 3..=4 {
        stack.advance(61).await?;
        eventually(|| async { received(&stack.local("/usage").await.unwrap()) == times }).await;
        eventually(|| async { stack.local("/queues").await.unwrap()["WorkQueue"]["in_flight"] == 1 }).await;
    }
    stack.advance(61).await?;
    eventually(|| async { stack.local("/queues").await.unwrap()["WorkDeadLetters"]["visible"] == 1 }).await;
    stack.idle().await?;
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_the_whole_batch_in_the_queue() -> Test {
    let stack = Running::start().await;
    stack.act("send", "crash").await?;
    eventually(|| async { stack.function("work").await.unwrap()["errors"] == 1 }).await;
    assert_eq!(stack.local("/queues").await?["WorkQueue"]["in_flight"], 1);
    let busy = stack.get("/_local/idle?timeout_ms=50").await?;
    assert_eq!(busy.status(), StatusCode::REQUEST_TIMEOUT, "a message that will come back is work to do");
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_kills_its_caller_before_or_after_it_took_effect() -> Test {
    let stack = Running::start().await;
    for (when, sent) in [("before", 0), ("after", 1)] {
        stack.delete("/_local/usage").await?;
        let kill = json!({"function": "web", "service": "sqs", "operation": "SendMessage", "nth": 2, "when": when});
        stack.put("/_local/faults", &json!({"kill": [kill]})).await?;
        assert_eq!(stack.act("send", "first").await?.status(), StatusCode::ACCEPTED);
        assert_eq!(stack.act("send", "second").await?.status(), StatusCode::INTERNAL_SERVER_ERROR);
        stack.put("/_local/faults", &json!({})).await?;
        stack.idle().await?;
        let usage = stack.local("/usage").await?;
        assert_eq!(usage["sqs"]["queues"]["WorkQueue"]["SendMessage"]["messages"], 1 + sent, "{when}");
    }
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_moves_for_everybody_and_schedules_tick() -> Test {
    let stack = Running::start().await;
    let before = stack.local("/clock").await?["now"].as_u64().unwrap();
    assert_eq!(stack.lines("tick").await?, [""; 0]);
    let now = stack.advance(7 * 86_400).await?["now"].as_u64().unwrap();
    assert!((before + 7 * 86_400..before + 7 * 86_400 + 60).contains(&now));
    assert_eq!(stack.lines("tick").await?, ["tick"], "once, and it has finished");
    let answer: Value = stack.act("environment", "").await?.json().await?;
    assert_eq!(answer["offset"], "604800");
    stack.advance(60).await?;
    assert_eq!(stack.lines("tick").await?.len(), 1);
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_lives_from_connect_to_disconnect() -> Test {
    let stack = Running::start().await;
    let mut socket = stack.socket("?user=alice").await?;
    for (sent, answered) in [
        (r#"{"type":"echo","n":1}"#, r#"echo: {"type":"echo","n":1}"#),
        (r#"{"type":"other"}"#, r#"$default: {"type":"other"}"#),
        ("no json", "$default: no json"),
        (r#"{"type":"$disconnect"}"#, r#"$default: {"type":"$disconnect"}"#),
    ] {
        socket.send(Message::text(sent)).await?;
        assert_eq!(socket.next().await.unwrap()?, Message::text(answered));
    }
    socket.send(Message::text("please fail")).await?;
    let complaint: Value = serde_json::from_str(socket.next().await.unwrap()?.to_text()?)?;
    assert_eq!(complaint["message"], "Internal server error");

    // The client vanishes without a word.
    drop(socket);
    eventually(|| async { stack.lines("web").await.unwrap() == ["early post: gone", "late post: gone"] }).await;
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_connect_refuses_gets_its_status() -> Test {
    let stack = Running::start().await;
    match stack.socket("?user=nobody").await {
        Err(SocketError::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{other:?}"),
    }
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_too_long_ends_the_connection() -> Test {
    let stack = Running::start().await;
    let mut socket = stack.socket("").await?;
    socket.send(Message::text("x".repeat(32 * 1024 + 1))).await?;
    match socket.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1009),
        Some(Err(_)) | None => {}
        other => panic!("{other:?}"),
    }
    eventually(|| async { stack.lines("web").await.unwrap().contains(&"late post: gone".to_owned()) }).await;
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_local_path_is_json_too() -> Test {
    let stack = Running::start().await;
    let response = stack.get("/_local/nothing").await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(response.json::<Value>().await?["error"].is_string());
    let response = stack.http.post(stack.url("/_local/faults")).send().await?;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET,HEAD,PUT");
    stack.put("/_local/faults", &json!({"lose": [{"function": "web"}]})).await?;
    for plan in [json!({"kil": []}), json!({"lose": [{"function": "wed"}]}), json!({"lose": [{"functon": "web"}]})] {
        let response = stack.http.put(stack.url("/_local/faults")).json(&plan).send().await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{plan}");
        assert!(response.json::<Value>().await?["error"].as_str().unwrap().contains("`, `"));
    }
    assert_eq!(stack.local("/faults").await?["lose"][0]["function"], "web", "what was refused changed nothing");
    stack.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_the_stack_stops() -> Test {
    let stack = Running::start().await;
    stack.act("environment", "").await?;
    let pid = stack.function("web").await?["environments"][0]["pid"].as_u64().unwrap();
    let address = stack.address();
    let file: Value = stack.act("environment", "").await?.json().await?;
    let file = std::path::PathBuf::from(file["clock"].as_str().unwrap());
    assert!(file.exists());
    stack.stop().await;
    assert!(!support::runs(pid));
    assert!(!file.parent().unwrap().exists());
    eventually(|| async { tokio::net::TcpListener::bind(address).await.is_ok() }).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_the_stack_is_killed() -> Test {
    let directory = tempfile::tempdir()?;
    let (mut stack, url) = support::start_as_a_process(directory.path());
    let http = support::client();
    http.post(format!("{url}/do/environment")).send().await?;
    let functions: Value = http.get(format!("{url}/_local/functions")).send().await?.json().await?;
    let pids = functions.as_array().unwrap().iter().flat_map(|function| function["environments"].as_array().unwrap());
    let pids: Vec<u64> = pids.map(|environment| environment["pid"].as_u64().unwrap()).collect();
    assert!(!pids.is_empty() && pids.iter().all(|pid| support::runs(*pid)));
    stack.kill()?;
    stack.wait()?;
    eventually(|| async { pids.iter().all(|pid| !support::runs(*pid)) }).await;
    Ok(())
}
