//! Requests through the proxy, against the units that AWS documents.
//!
//! An item here weighs its names and values: 2 + 1 for `pk`, 2 + 1 for `sk`, 4 + n for `data`.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Get, KeysAndAttributes, Put, PutRequest, TransactGetItem,
    TransactWriteItem, Update, WriteRequest,
};

use super::*;
use crate::template::KeyAttribute;

type Item = HashMap<String, AttributeValue>;

struct Setup {
    client: Client,
    usage: Usage,
    gate: Gate,
    _dynamodb: DynamoDb,
}

async fn setup() -> Setup {
    let usage = Usage::default();
    let gate = Gate::default();
    let files = tempfile::tempdir().unwrap();
    let clock = Clock::new(files.path()).unwrap();
    let key = |name: &str| KeyAttribute { name: name.to_owned(), kind: "S".to_owned() };
    let tables = [Table {
        id: "ThingsTable".to_owned(),
        name: "things".to_owned(),
        hash: key("pk"),
        range: Some(key("sk")),
        ttl: Some("expires_at".to_owned()),
    }];
    let listener = net::loopback().await.unwrap();
    let dynamodb = DynamoDb::start(listener, &tables, None, &clock, usage.clone(), gate.clone()).await.unwrap();
    usage.reset();
    Setup { client: dynamodb.client(), usage, gate, _dynamodb: dynamodb }
}

impl Setup {
    /// Read and write units since the last question.
    fn units(&self) -> (f64, f64) {
        let total = self.usage.figures().dynamodb.total;
        self.usage.reset();
        (total.read_units, total.write_units)
    }

    async fn put(&self, sk: &str, bytes: usize) {
        self.client.put_item().table_name("things").set_item(Some(item(sk, bytes))).send().await.unwrap();
    }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn key(sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), s("a")), ("sk".to_owned(), s(sk))])
}

/// An item of exactly so many bytes.
fn item(sk: &str, bytes: usize) -> Item {
    let mut item = key(sk);
    item.insert("data".to_owned(), s(&"x".repeat(bytes - 10)));
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_costs_a_unit_for_each_kb_of_the_larger_image() {
    let setup = setup().await;
    setup.put("1", 1024).await;
    assert_eq!(setup.units(), (0.0, 1.0));
    setup.put("1", 2049).await;
    assert_eq!(setup.units(), (0.0, 3.0));
    setup.put("1", 100).await;
    assert_eq!(setup.units(), (0.0, 3.0), "what is overwritten counts too");
    setup.put("1", 5000).await;
    setup.units();
    setup.client.delete_item().table_name("things").set_key(Some(key("1"))).send().await.unwrap();
    assert_eq!(setup.units(), (0.0, 5.0));
    setup.client.delete_item().table_name("things").set_key(Some(key("1"))).send().await.unwrap();
    assert_eq!(setup.units(), (0.0, 1.0), "there is nothing, and that costs one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_costs_a_unit_for_each_4_kb_and_half_if_it_may_be_stale() {
    let setup = setup().await;
    setup.put("1", 4097).await;
    setup.units();
    let get = |sk, consistent| {
        let request = setup.client.get_item().table_name("things").set_key(Some(key(sk)));
        request.consistent_read(consistent).send()
    };
    get("1", true).await.unwrap();
    assert_eq!(setup.units(), (2.0, 0.0));
    get("1", false).await.unwrap();
    assert_eq!(setup.units(), (1.0, 0.0));
    get("none", true).await.unwrap();
    assert_eq!(setup.units(), (1.0, 0.0));
    get("none", false).await.unwrap();
    assert_eq!(setup.units(), (0.5, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_rounded_once_over_all_its_items() {
    let setup = setup().await;
    for number in 0..10 {
        setup.put(&number.to_string(), 1000).await;
    }
    setup.units();
    let query = |consistent| {
        let query = setup.client.query().table_name("things").key_condition_expression("pk = :pk");
        query.expression_attribute_values(":pk", s("a")).consistent_read(consistent)
    };
    query(true).send().await.unwrap();
    assert_eq!(setup.units(), (3.0, 0.0), "10,000 bytes");
    query(false).send().await.unwrap();
    assert_eq!(setup.units(), (1.5, 0.0));
    let filtered = query(true).filter_expression("attribute_exists(nothing)").send().await.unwrap();
    assert_eq!((filtered.count(), setup.units()), (0, (3.0, 0.0)), "a filter saves nothing");
    query(true).limit(3).send().await.unwrap();
    assert_eq!(setup.units(), (1.0, 0.0));
    query(true).expression_attribute_values(":pk", s("nobody")).send().await.unwrap();
    assert_eq!(setup.units(), (1.0, 0.0), "an empty answer costs the least");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_rounded_item_by_item() {
    let setup = setup().await;
    let writes = ["1", "2", "3"].map(|sk| {
        let put = PutRequest::builder().set_item(Some(item(sk, 1025))).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    });
    setup.client.batch_write_item().request_items("things", writes.to_vec()).send().await.unwrap();
    assert_eq!(setup.units(), (0.0, 6.0));
    let keys = KeysAndAttributes::builder()
        .set_keys(Some(["1", "2", "none"].map(key).to_vec()))
        .consistent_read(true)
        .build()
        .unwrap();
    setup.client.batch_get_item().request_items("things", keys).send().await.unwrap();
    assert_eq!(setup.units(), (3.0, 0.0), "what is not there costs one too");
}

fn put(sk: &str, bytes: usize, condition: Option<&str>) -> TransactWriteItem {
    let put = Put::builder().table_name("things").set_item(Some(item(sk, bytes)));
    let put = put.set_condition_expression(condition.map(str::to_owned));
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_cost_double() {
    let setup = setup().await;
    let write = setup.client.transact_write_items();
    write.set_transact_items(Some(vec![put("1", 1500, None), put("2", 100, None)])).send().await.unwrap();
    assert_eq!(setup.units(), (0.0, 6.0));

    let check = ConditionCheck::builder()
        .table_name("things")
        .set_key(Some(key("1")))
        .condition_expression("attribute_exists(pk)")
        .build()
        .unwrap();
    let update = Update::builder()
        .table_name("things")
        .set_key(Some(key("2")))
        .update_expression("SET n = :n")
        .expression_attribute_values(":n", AttributeValue::N("1".to_owned()))
        .build()
        .unwrap();
    let delete = Delete::builder().table_name("things").set_key(Some(key("none"))).build().unwrap();
    let actions = vec![
        TransactWriteItem::builder().condition_check(check).build(),
        TransactWriteItem::builder().update(update).build(),
        TransactWriteItem::builder().delete(delete).build(),
    ];
    setup.client.transact_write_items().set_transact_items(Some(actions)).send().await.unwrap();
    assert_eq!(setup.units(), (0.0, 8.0), "a check is charged like a write of what it looks at");

    let gets = ["1", "2"].map(|sk| {
        let get = Get::builder().table_name("things").set_key(Some(key(sk))).build().unwrap();
        TransactGetItem::builder().get(get).build()
    });
    setup.client.transact_get_items().set_transact_items(Some(gets.to_vec())).send().await.unwrap();
    assert_eq!(setup.units(), (4.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_its_condition_refuses_is_charged_for_the_item_that_is_there() {
    let setup = setup().await;
    setup.put("1", 3000).await;
    setup.units();
    let refused = |sk, bytes, condition| {
        let request = setup.client.put_item().table_name("things").set_item(Some(item(sk, bytes)));
        request.condition_expression(condition).send()
    };
    refused("1", 9000, "attribute_not_exists(pk)").await.unwrap_err();
    assert_eq!(setup.units(), (0.0, 3.0));
    refused("2", 9000, "attribute_exists(pk)").await.unwrap_err();
    assert_eq!(setup.units(), (0.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_a_condition_cancels_is_charged_for_its_preparation() {
    let setup = setup().await;
    setup.put("1", 3000).await;
    setup.units();
    let actions = vec![put("1", 100, Some("attribute_not_exists(pk)")), put("2", 1500, None)];
    setup.client.transact_write_items().set_transact_items(Some(actions)).send().await.unwrap_err();
    assert_eq!(setup.units(), (0.0, 5.0), "3 KB that are there, 2 KB that were to be put");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_good_costs_nothing() {
    let setup = setup().await;
    setup.client.get_item().table_name("nothing").set_key(Some(key("1"))).send().await.unwrap_err();
    assert_eq!(setup.units(), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_go_by_logical_id_operation_and_function() {
    let setup = setup().await;
    setup.put("1", 100).await;
    let figures = setup.usage.figures().dynamodb;
    assert_eq!(figures.tables["ThingsTable"]["PutItem"].requests, 1);
    assert_eq!(figures.functions["stack"].requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_refuses_before_anything_happens() {
    let setup = setup().await;
    let plan = r#"{"fail":[{"service":"dynamodb","operation":"PutItem","error":"ConditionalCheckFailedException"}]}"#;
    setup.gate.faults.set(serde_json::from_str(plan).unwrap());
    let put = || setup.client.put_item().table_name("things").set_item(Some(item("1", 100))).send();
    let error = put().await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception());
    assert_eq!(setup.units(), (0.0, 0.0));
    put().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_was_nevertheless_an_effect() {
    let setup = setup().await;
    let plan = r#"{"lose":[{"service":"dynamodb","operation":"UpdateItem"}]}"#;
    setup.gate.faults.set(serde_json::from_str(plan).unwrap());
    let add = setup.client.update_item().table_name("things").set_key(Some(key("1")));
    let add =
        add.update_expression("ADD n :one").expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    // The SDK tries again, so the counter has been moved twice.
    add.send().await.unwrap();
    let read = setup.client.get_item().table_name("things").set_key(Some(key("1"))).send().await.unwrap();
    assert_eq!(read.item().unwrap()["n"], AttributeValue::N("2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_expire_by_the_stacks_clock() {
    let files = tempfile::tempdir().unwrap();
    let clock = Clock::new(files.path()).unwrap();
    let tables = [Table {
        id: "T".to_owned(),
        name: "things".to_owned(),
        hash: KeyAttribute { name: "pk".to_owned(), kind: "S".to_owned() },
        range: None,
        ttl: Some("expires_at".to_owned()),
    }];
    let listener = net::loopback().await.unwrap();
    let dynamodb = DynamoDb::start(listener, &tables, None, &clock, Usage::default(), Gate::default()).await.unwrap();
    let end = AttributeValue::N((clock.now() + 3600).to_string());
    let client = dynamodb.client();
    client.put_item().table_name("things").item("pk", s("a")).item("expires_at", end).send().await.unwrap();
    assert_eq!(dynamodb.sweep().await.unwrap(), 0);
    clock.advance(3700).unwrap();
    assert_eq!(dynamodb.sweep().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_in_a_directory_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let clock = Clock::new(files.path()).unwrap();
    let tables = [Table {
        id: "T".to_owned(),
        name: "things".to_owned(),
        hash: KeyAttribute { name: "pk".to_owned(), kind: "S".to_owned() },
        range: None,
        ttl: None,
    }];
    for run in 0..2 {
        let listener = net::loopback().await.unwrap();
        let data = Some(directory.path());
        let dynamodb =
            DynamoDb::start(listener, &tables, data, &clock, Usage::default(), Gate::default()).await.unwrap();
        let client = dynamodb.client();
        let read = client.get_item().table_name("things").key("pk", s("a")).send().await.unwrap();
        assert_eq!(read.item().is_some(), run == 1);
        client.put_item().table_name("things").item("pk", s("a")).send().await.unwrap();
    }
}
