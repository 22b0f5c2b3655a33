//! A newcomer starts the stack and ends it.

use std::time::Duration;

use reqwest::Method;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::a_stack;

#[tokio::test]
async fn ctrl_c_leaves_no_process_and_no_bound_port() {
    let mut stack = a_stack().await;
    stack.ok("im_open_login_svc/account_import", serde_json::json!({"UserID": "anne"})).await;
    let functions = stack.local(Method::GET, "functions", None).await;
    let pids: Vec<u64> = functions
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|function| function["environments"].as_array().unwrap())
        .map(|environment| environment["pid"].as_u64().unwrap())
        .collect();
    assert!(!pids.is_empty(), "a function runs: {functions}");
    let address = stack.base().trim_start_matches("http://").to_owned();

    Command::new("kill").args(["-INT", &stack.pid().to_string()]).status().await.unwrap();
    assert!(stack.ended().await.success());

    assert!(TcpStream::connect(&address).await.is_err(), "the port is free again");
    for pid in pids {
        let alive =
            async || Command::new("kill").args(["-0", &pid.to_string()]).output().await.unwrap().status.success();
        for _ in 0..100 {
            if !alive().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!alive().await, "process {pid} is left");
    }
}
