//! What SQS bills: a request for each 64 KB of payload that a call carries.

use serde_json::Value;

use crate::usage::Traffic;

const CHUNK_BYTES: usize = 64 * 1024;

/// What one call costs. A batch is one payload: ten messages of 18 KB are 180 KB, so 3 requests.
pub(super) fn traffic(operation: &str, request: &Value, answer: &Value) -> Traffic {
    let (bytes, messages) = match operation {
        "SendMessage" => (message_bytes(request, "MessageBody"), 1),
        "SendMessageBatch" => all(&request["Entries"], "MessageBody"),
        "ReceiveMessage" => all(&answer["Messages"], "Body"),
        "DeleteMessage" => (0, 1),
        "DeleteMessageBatch" => (0, count(&request["Entries"])),
        _ => (0, 0),
    };
    Traffic { requests: u64::try_from(bytes.div_ceil(CHUNK_BYTES).max(1)).unwrap_or(u64::MAX), messages }
}

fn all(messages: &Value, body: &str) -> (usize, u64) {
    let each = messages.as_array().into_iter().flatten();
    let bytes = each.map(|message| message_bytes(message, body)).sum();
    (bytes, count(messages))
}

fn count(list: &Value) -> u64 {
    let length = list.as_array().map_or(0, Vec::len);
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The body, and the names, types and values of the attributes.
fn message_bytes(message: &Value, body: &str) -> usize {
    let attributes = message["MessageAttributes"].as_object();
    let attributes: usize = attributes
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = |field: &str| value[field].as_str().map_or(0, str::len);
            let binary = text("BinaryValue") / 4 * 3;
            name.len() + text("DataType") + text("StringValue") + binary
        })
        .sum();
    message[body].as_str().map_or(0, str::len) + attributes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(kb: usize) -> String {
        "x".repeat(kb * 1024)
    }

    fn requests(operation: &str, request: &Value, answer: &Value) -> u64 {
        traffic(operation, request, answer).requests
    }

    #[test]
    fn a_send_is_a_request_for_each_64_kb() {
        let send = |body: String| requests("SendMessage", &json!({"MessageBody": body}), &json!({}));
        assert_eq!(send("a".to_owned()), 1);
        assert_eq!(send(text(64)), 1);
        assert_eq!(send(text(64) + "a"), 2);
    }

    #[test]
    fn a_batch_is_billed_by_its_sum() {
        let entries: Vec<_> = (0..10).map(|id| json!({"Id": id.to_string(), "MessageBody": text(18)})).collect();
        let batch = json!({"Entries": entries});
        let traffic = traffic("SendMessageBatch", &batch, &json!({}));
        assert_eq!((traffic.requests, traffic.messages), (3, 10));
    }

    #[test]
    fn attributes_count_as_payload() {
        let request = json!({
            "MessageBody": text(64),
            "MessageAttributes": {"a": {"DataType": "String", "StringValue": "b"}},
        });
        assert_eq!(requests("SendMessage", &request, &json!({})), 2);
    }

    #[test]
    fn a_receive_is_billed_by_what_it_brings() {
        let answer = json!({"Messages": [{"Body": text(60)}, {"Body": text(60)}]});
        assert_eq!(requests("ReceiveMessage", &json!({}), &answer), 2);
        assert_eq!(requests("ReceiveMessage", &json!({}), &json!({})), 1);
    }

    #[test]
    fn deleting_ten_is_one_request() {
        let request = json!({"Entries": vec![json!({}); 10]});
        let traffic = traffic("DeleteMessageBatch", &request, &json!({}));
        assert_eq!((traffic.requests, traffic.messages), (1, 10));
    }
}
