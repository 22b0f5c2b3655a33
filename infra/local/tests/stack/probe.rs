//! A function that does what its event says, run by this test's own executable.

use std::time::Duration;

use aws_sdk_apigatewaymanagement as management;
use fanfare::domain::{AppId, Channel};
use fanfare::runtime::Clock;
use fanfare::runtime::config::Environment;
use fanfare::runtime::metrics::{BatchMetrics, MetricName, Metrics};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Run by the stack as an environment: `tests --ignored --exact --nocapture probe::environment`.
#[test]
#[ignore = "this is a program, which the stack starts"]
fn environment() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    fanfare_local::functions::end_with_the_stack();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(lambda_runtime::run(service_fn(handle))).unwrap();
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    if event["version"] == "2.0" {
        let action = event["pathParameters"]["action"].as_str();
        return match action {
            Some(action) => act(action, &event).await,
            None => Ok(json!({
                "statusCode": 200,
                "headers": {"content-type": "application/json"},
                "body": json!({"event": event, "deadline_ms": context.deadline, "arn": context.invoked_function_arn}).to_string(),
            })),
        };
    }
    if let Some(records) = event["Records"].as_array() {
        return work(records);
    }
    if event["detail-type"] == "Scheduled Event" {
        say("tick");
        return Ok(Value::Null);
    }
    frame(&event).await
}

async fn act(action: &str, event: &Value) -> Result<Value, Error> {
    match action {
        "crash" => std::process::abort(),
        "fail" => Err("as told".into()),
        "sleep" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(Value::Null)
        }
        "send" => {
            let client = aws_sdk_sqs::Client::new(&config().await);
            let queue = std::env::var("QUEUE_URL")?;
            let body = event["body"].as_str().unwrap_or("nothing");
            client.send_message().queue_url(queue).message_body(body).send().await?;
            Ok(json!({"statusCode": 202}))
        }
        "count" => {
            count()?;
            Ok(json!({"statusCode": 202}))
        }
        "environment" => {
            let clock = std::env::var("FANFARE_CLOCK_OFFSET_FILE")?;
            let offset = std::fs::read_to_string(&clock)?;
            Ok(json!({
                "key": std::env::var("AWS_ACCESS_KEY_ID")?,
                "clock": clock,
                "offset": offset,
                "home": std::env::var("HOME").ok(),
            }))
        }
        _ => Ok(json!({"statusCode": 404})),
    }
}

/// Two lines, of which the second counts what the first did, and more.
fn count() -> Result<(), Error> {
    let (metrics, app) = (Metrics::from_lookup(&Environment)?, AppId::try_from("app")?);
    let sent = BatchMetrics::of(Channel::Fcm, &app).count(MetricName::Delivered, 2);
    metrics.emit(&sent, Clock::system().now());
    metrics.emit(&sent.count(MetricName::Stopped, 1), Clock::system().now());
    Ok(())
}

fn work(records: &[Value]) -> Result<Value, Error> {
    let mut failures = Vec::new();
    for record in records {
        match record["body"].as_str() {
            Some("crash") => std::process::abort(),
            Some("fail") => failures.push(json!({"itemIdentifier": record["messageId"]})),
            Some(body) => say(&format!("worked on {body}")),
            None => {}
        }
    }
    Ok(json!({"batchItemFailures": failures}))
}

async fn frame(event: &Value) -> Result<Value, Error> {
    let context = &event["requestContext"];
    let id = context["connectionId"].as_str().unwrap_or_default();
    match context["routeKey"].as_str() {
        Some("$connect") => {
            if event["queryStringParameters"]["user"] == "nobody" {
                return Ok(json!({"statusCode": 401}));
            }
            say(&format!("early post: {}", post(id, "too early").await));
            Ok(json!({"statusCode": 200}))
        }
        Some("$disconnect") => {
            say(&format!("late post: {}", post(id, "too late").await));
            Ok(json!({"statusCode": 200}))
        }
        Some(route) => {
            let body = event["body"].as_str().unwrap_or_default();
            if body.contains("please fail") {
                return Err("as told".into());
            }
            post(id, &format!("{route}: {body}")).await;
            Ok(Value::Null)
        }
        None => Err("an event of no known kind".into()),
    }
}

async fn post(id: &str, text: &str) -> &'static str {
    let client = management::Client::new(&config().await);
    let data = management::primitives::Blob::new(text);
    match client.post_to_connection().connection_id(id).data(data).send().await {
        Ok(_) => "sent",
        Err(error) if error.as_service_error().is_some_and(|error| error.is_gone_exception()) => "gone",
        Err(_) => "failed",
    }
}

async fn config() -> aws_config::SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}

fn say(text: &str) {
    println!("{text}");
}
