//! One spelling of JSON, by which a repeated request is known.

use serde_json::Value;

/// JSON in one spelling: no white space, members sorted, none that is `null`.
pub(in crate::dialect) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let member =
                |(name, value): (&String, &Value)| format!("{}:{}", Value::from(name.as_str()), canonical(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn order_space_and_null_make_no_difference_and_everything_else_does() {
        let plain = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        assert_eq!(plain(r#"{ "b":[1, null], "a":{"d":null,"c":"é"} }"#), r#"{"a":{"c":"é"},"b":[1,null]}"#);
        assert_ne!(plain("[1,2]"), plain("[2,1]"));
        assert_ne!(plain(r#"{"a":1}"#), plain(r#"{"a":"1"}"#));
    }

    proptest! {
        #[test]
        fn it_says_the_same_in_other_words(name in ".{0,9}", text in ".{0,30}", number in any::<i64>()) {
            let value = json!({name: [text, number]});
            let again: Value = serde_json::from_str(&canonical(&value)).unwrap();
            prop_assert_eq!(again, value);
        }
    }
}
