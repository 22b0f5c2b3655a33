//! Task ids: how the contract's callers name a push.
//!
//! Each call has the shape of Tencent's sample, and in each the numbers are the push's id, so that nothing has to be
//! looked up to find a push by its task id. Callers treat them as opaque.

use super::Call;
use crate::domain::PushId;

/// What opens the task id of a push to named users.
const BATCH: &str = "batch_";
/// Milliseconds since the epoch stand in the upper 48 bits of a push's id (RFC 9562, UUID version 7).
const BELOW_MILLIS: u32 = 80;

/// The task id of a push that was accepted through a call, with its `MsgRandom`.
///
/// - `im_push`: the SDKAppID and three decimal numbers, the push's id.
/// - `push`: five hexadecimal numbers: seconds since the epoch, SDKAppID, 58 and 32 bits that are the rest of the push's
///   id, `MsgRandom`.
/// - `batch`: the same behind `batch_`.
pub fn task_id(call: Call, sdk_app_id: u64, push: PushId, random: u32) -> String {
    match call {
        Call::Push => five_parts(sdk_app_id, push, random),
        Call::Batch => format!("{BATCH}{}", five_parts(sdk_app_id, push, random)),
        _ => four_parts(sdk_app_id, push),
    }
}

/// The SDKAppID and the push that a task id names, if it is one. Whether the push is the app's is not known by that.
pub fn push_id_of(text: &str) -> Option<(u64, PushId)> {
    read_four(text).or_else(|| read_five(text.strip_prefix(BATCH).unwrap_or(text)))
}

fn four_parts(sdk_app_id: u64, push: PushId) -> String {
    let id = push.as_u128();
    format!("{sdk_app_id}_{}_{}_{}", (id >> 64) as u64, (id >> 32) as u32, id as u32)
}

fn read_four(text: &str) -> Option<(u64, PushId)> {
    let mut parts = text.split('_');
    let mut part = || parts.next()?.parse::<u64>().ok();
    let (sdk_app_id, high, middle, low) = (part()?, part()?, part()?, part()?);
    let (middle, low) = (u32::try_from(middle).ok()?, u32::try_from(low).ok()?);
    let push = PushId::from_u128(u128::from(high) << 64 | u128::from(middle) << 32 | u128::from(low));
    // One push, one spelling: no signs, no leading zeros, nothing after it.
    (four_parts(sdk_app_id, push) == text).then_some((sdk_app_id, push))
}

fn five_parts(sdk_app_id: u64, push: PushId, random: u32) -> String {
    let id = push.as_u128();
    let (millis, rest) = ((id >> BELOW_MILLIS) as u64, id & ((1 << BELOW_MILLIS) - 1));
    // The milliseconds of the second go before the 48 bits that do not fit the fourth part.
    let third = (millis % 1_000) << 48 | (rest >> 32) as u64;
    format!("{:x}_{sdk_app_id:x}_{third:x}_{:x}_{random:x}", millis / 1_000, rest as u32)
}

fn read_five(text: &str) -> Option<(u64, PushId)> {
    let mut parts = text.split('_');
    let mut part = || u64::from_str_radix(parts.next()?, 16).ok();
    let (secs, sdk_app_id, third, fourth, random) = (part()?, part()?, part()?, part()?, part()?);
    let (fourth, random) = (u32::try_from(fourth).ok()?, u32::try_from(random).ok()?);
    let millis = secs.checked_mul(1_000)?.checked_add(third >> 48)?;
    let rest = u128::from(third & ((1 << 48) - 1)) << 32 | u128::from(fourth);
    let push = PushId::from_u128(u128::from(millis) << BELOW_MILLIS | rest);
    (five_parts(sdk_app_id, push, random) == text).then_some((sdk_app_id, push))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn task_ids_look_like_the_samples() {
        for (call, random, sample) in [
            (Call::ImPush, 0, "1400123456_144115212910570789_4155518400_15723514"),
            (Call::Push, 0x00bc_614e, "660cc447_537ed82a_200000cd7ee17f5_84035729_bc614e"),
            (Call::Batch, 0x56f5_e750, "batch_667015d4_537529d8_2000005e80aa873_d03ac87_56f5e750"),
        ] {
            let (sdk_app_id, push) = push_id_of(sample).unwrap();
            assert_eq!(task_id(call, sdk_app_id, push, random), sample);
        }
        let id = task_id(Call::Push, 1_400_821_802, PushId::from_u128(1_712_112_711_000 << BELOW_MILLIS), 12_345_678);
        assert!(id.starts_with("660cc447_537ed82a_") && id.ends_with("_bc614e"), "{id}");
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "1_2_3",
            "1_2_3_4294967296",
            "1_2_3_+4",
            "01_2_3_4",
            "1_2_3_4_",
            "g_b_c_d",
            "1_2_3_-4",
            "batch_1_2_3_4",
            "batch_batch_1_2_3_4_5",
            "1_2_3_4_5_6",
            "1_2_3_4_+5",
            "1_2_3_4_05",
            "1_2_3_4_A",
            "1_2_3_4_100000000",
            "1_2_3e8000000000000_4_5",
            "ffffffffffffffff_2_3_4_5",
        ] {
            assert_eq!(push_id_of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_task_id_leads_back_to_its_push(app in any::<u64>(), id in any::<u128>(), random in any::<u32>()) {
            let push = PushId::from_u128(id);
            for call in [Call::ImPush, Call::Push, Call::Batch] {
                prop_assert_eq!(push_id_of(&task_id(call, app, push, random)), Some((app, push)));
            }
        }
    }
}
