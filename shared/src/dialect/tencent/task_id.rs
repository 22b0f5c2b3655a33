//! Task ids: how the contract's callers name a push.

use crate::domain::PushId;

/// The task id of a push, in the shape of Tencent's sample: the SDKAppID and three more numbers. Those are the push's
/// id, so that nothing has to be looked up to find a push by its task id.
pub fn task_id(sdk_app_id: u64, push: PushId) -> String {
    let id = push.as_u128();
    format!("{sdk_app_id}_{}_{}_{}", (id >> 64) as u64, (id >> 32) as u32, id as u32)
}

/// The SDKAppID and the push that a task id names, if it is one. Whether the push is the app's is not known by that.
pub fn push_id_of(text: &str) -> Option<(u64, PushId)> {
    let mut parts = text.split('_');
    let mut part = || parts.next()?.parse::<u64>().ok();
    let (sdk_app_id, high, middle, low) = (part()?, part()?, part()?, part()?);
    let (middle, low) = (u32::try_from(middle).ok()?, u32::try_from(low).ok()?);
    let push = PushId::from_u128(u128::from(high) << 64 | u128::from(middle) << 32 | u128::from(low));
    // One push, one spelling: no signs, no leading zeros, nothing after it.
    (task_id(sdk_app_id, push) == text).then_some((sdk_app_id, push))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_task_id_looks_like_the_sample() {
        let sample = "1400123456_144115212910570789_4155518400_15723514";
        let (sdk_app_id, push) = push_id_of(sample).unwrap();
        assert_eq!((sdk_app_id, task_id(sdk_app_id, push).as_str()), (1_400_123_456, sample));
    }

    #[test]
    fn other_texts_are_none() {
        for text in
            ["", "1_2_3", "1_2_3_4_5", "1_2_3_4294967296", "1_2_3_+4", "01_2_3_4", "1_2_3_4_", "a_b_c_d", "1_2_3_-4"]
        {
            assert_eq!(push_id_of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_task_id_leads_back_to_its_push(app in any::<u64>(), id in any::<u128>()) {
            let push = PushId::from_u128(id);
            prop_assert_eq!(push_id_of(&task_id(app, push)), Some((app, push)));
        }
    }
}
