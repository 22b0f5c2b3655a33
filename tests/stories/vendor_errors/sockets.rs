//! What API Gateway may answer to a post to a connection.

use fanfare::domain::Channel;
use fanfare::runtime::metrics::MetricName;
use reqwest::Method;
use serde_json::json;

use super::row::Meaning;
use super::tables::WS;
use crate::{a_stack, text};

#[tokio::test]
async fn each_error_of_the_gateway_has_its_outcome() {
    let stack = a_stack().await;
    // What a socket that is gone has been sent is not to be mixed up with the next row's.
    for (number, row) in WS.rows.iter().enumerate() {
        let mut socket = stack.socket("anne", &format!("desk{number}")).await;
        let throttled = stack.counted(MetricName::Throttled, Channel::Ws).await;
        // A connection that is gone gets a second look.
        let times = if row.meaning == Meaning::Gone { 2 } else { 1 };
        let fail = json!({"function": "deliver-ws", "service": "execute-api", "operation": "PostToConnection",
            "nth": 1, "times": times, "error": row.reason});
        stack.local(Method::PUT, "faults", Some(json!({"fail": [fail]}))).await;
        let push = json!({"MsgRandom": number, "MsgLifeTime": 600, "MsgBody": text("hi")});
        let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
        let has_ended = async || {
            let accounts = stack.account(&task).await;
            accounts.get(&Channel::Ws).is_some_and(|account| account.targeted > 0 && account.pending == 0)
        };
        stack.until("the push has ended", has_ended).await;

        let account = stack.account(&task).await[&Channel::Ws].clone();
        let expected = match row.meaning {
            Meaning::Gone => (0, 1, 0),
            Meaning::Permanent => (0, 0, 1),
            _ => (1, 0, 0),
        };
        let settled = account.settled;
        assert_eq!((settled.delivered, settled.invalid, settled.failed), expected, "{row:?}: {account:?}");
        assert_eq!((account.pending, account.stopped), (0, None), "{row:?}");
        if expected.0 == 1 {
            socket.hear().await;
        }
        let more = u64::from(matches!(row.meaning, Meaning::Throttled(_)));
        let counted = async || stack.counted(MetricName::Throttled, Channel::Ws).await == throttled + more;
        stack.until("it is counted", counted).await;
        stack.advance(61).await;
        socket.close().await;
        stack.idle().await;
    }
}
