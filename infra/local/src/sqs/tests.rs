//! Requests of an SDK through the proxy, and polling.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::*;
use crate::usage::Traffic;

struct Setup {
    sqs: Sqs,
    client: Client,
    usage: Usage,
    gate: Gate,
}

fn queue(name: &str, attributes: &[(&str, String)]) -> Queue {
    let attributes: BTreeMap<String, String> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Queue { id: format!("{name}Queue"), name: name.to_owned(), visibility: Duration::from_secs(1), attributes }
}

async fn setup() -> Setup {
    let (usage, gate) = (Usage::default(), Gate::default());
    let redrive = json!({
        "deadLetterTargetArn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:dead"),
        "maxReceiveCount": 2,
    });
    let queues = [
        queue("dead", &[]),
        queue("work", &[("VisibilityTimeout", "1".to_owned()), ("RedrivePolicy", redrive.to_string())]),
    ];
    let listener = net::loopback().await.unwrap();
    let sqs = Sqs::start(listener, &queues, usage.clone(), gate.clone()).await.unwrap();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("push-intake.1", "local", None, None, "test"))
        .endpoint_url(sqs.url())
        .build();
    Setup { client: Client::from_conf(config), sqs, usage, gate }
}

impl Setup {
    fn url(&self) -> String {
        self.sqs.queue_url("work")
    }

    async fn send(&self, body: &str) {
        self.client.send_message().queue_url(self.url()).message_body(body).send().await.unwrap();
    }

    async fn send_batch(&self, bodies: &[String]) {
        let entry = |(id, body): (usize, &String)| {
            SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body).build().unwrap()
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let batch = self.client.send_message_batch().queue_url(self.url());
        batch.set_entries(Some(entries)).send().await.unwrap();
    }

    fn traffic(&self, operation: &str) -> Traffic {
        self.usage.figures().sqs.queues["workQueue"][operation]
    }
}

#[tokio::test]
async fn a_batch_is_received_whole_however_early_the_poll_began() {
    let setup = setup().await;
    let sqs = setup.sqs.clone();
    let poll = tokio::spawn(async move { sqs.receive("fan-out", "work", 10).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    setup.send_batch(&vec!["x".repeat(18 * 1024); 10]).await;
    let messages = poll.await.unwrap().unwrap();
    assert_eq!(messages.len(), 10);
    assert_eq!(setup.traffic("SendMessageBatch"), Traffic { requests: 3, messages: 10 });
    assert_eq!(setup.traffic("ReceiveMessage"), Traffic { requests: 3, messages: 10 });

    let receipts: Vec<_> = messages.into_iter().map(|message| message.receipt_handle).collect();
    setup.sqs.delete("fan-out", "work", &receipts).await.unwrap();
    assert_eq!(setup.traffic("DeleteMessageBatch"), Traffic { requests: 1, messages: 10 });
    assert_eq!(setup.sqs.depth("work").await.unwrap(), Depth::default());

    let figures = setup.usage.figures().sqs;
    assert_eq!(figures.total.requests, 7);
    assert_eq!(figures.functions["push-intake"].requests, 3);
    assert_eq!(figures.functions["fan-out"].requests, 4);
}

#[tokio::test]
async fn looking_and_finding_nothing_is_not_a_request() {
    let setup = setup().await;
    assert!(setup.sqs.receive_now("fan-out", "work", 10).await.unwrap().is_empty());
    assert_eq!(setup.usage.figures().sqs.total, Traffic::default());
}

#[tokio::test]
async fn a_message_that_nobody_deletes_comes_back_and_then_goes_to_the_dead_letters() {
    let setup = setup().await;
    setup.send("again").await;
    for _ in 0..2 {
        let messages = setup.sqs.receive("fan-out", "work", 10).await.unwrap();
        assert_eq!(messages[0].body, "again");
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(setup.sqs.receive_now("fan-out", "work", 10).await.unwrap().is_empty());
    let dead = setup.sqs.receive("nobody", "dead", 10).await.unwrap();
    assert_eq!(dead[0].body, "again");
}

#[tokio::test]
async fn a_released_message_is_there_at_once() {
    let setup = setup().await;
    setup.send("once more").await;
    let messages = setup.sqs.receive("fan-out", "work", 10).await.unwrap();
    assert_eq!(setup.sqs.depth("work").await.unwrap().in_flight, 1);
    setup.sqs.release("work", &messages[0].receipt_handle).await.unwrap();
    assert_eq!(setup.sqs.receive_now("fan-out", "work", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_delay_is_kept() {
    let setup = setup().await;
    let begun = Instant::now();
    let later = setup.client.send_message().queue_url(setup.url()).message_body("later");
    later.delay_seconds(1).send().await.unwrap();
    assert_eq!(setup.sqs.depth("work").await.unwrap().delayed, 1);
    let messages = setup.sqs.receive("fan-out", "work", 10).await.unwrap();
    assert_eq!(messages.len(), 1);
    let waited = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn delays_can_be_cut_short() {
    let setup = setup().await;
    setup.sqs.delay_at_most(Some(0));
    let later = |secs| setup.client.send_message().queue_url(setup.url()).message_body("later").delay_seconds(secs);
    later(900).send().await.unwrap();
    assert_eq!(setup.sqs.receive_now("fan-out", "work", 10).await.unwrap().len(), 1);
    setup.sqs.delay_at_most(None);
    later(900).send().await.unwrap();
    assert_eq!(setup.sqs.depth("work").await.unwrap().delayed, 1);
}

#[tokio::test]
async fn a_message_group_on_a_standard_queue_is_taken() {
    let setup = setup().await;
    let fair = setup.client.send_message().queue_url(setup.url()).message_body("mine");
    fair.message_group_id("tenant").send().await.unwrap();
    assert_eq!(setup.sqs.receive_now("fan-out", "work", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_duplicate_arrives_twice_and_is_charged_once() {
    let setup = setup().await;
    let plan = r#"{"duplicate":[{"function":"push-intake","operation":"SendMessage"}]}"#;
    setup.gate.faults.set(serde_json::from_str(plan).unwrap());
    setup.send("twice").await;
    assert_eq!(setup.sqs.receive_now("fan-out", "work", 10).await.unwrap().len(), 2);
    assert_eq!(setup.traffic("SendMessage"), Traffic { requests: 1, messages: 1 });
}
