//! A user's devices as one binary value: half the read units of a nested map, and a third of the time.
//!
//! The value is a version byte, then the devices in postcard's format. Numbers stand for names, so the numbers
//! below are part of the stored format: they are never given to another name.

use serde::{Deserialize, Serialize};

use crate::domain::{Channel, Device, DeviceId, DeviceToken, Platform, Timestamp};

use super::StoreError;

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Packed {
    id: String,
    platform: u8,
    channel: u8,
    token: PackedToken,
    package: Option<String>,
    push_enabled: bool,
    language: Option<String>,
    registered_at: i64,
    /// Whole seconds from the registration to the last activity.
    active_after: i64,
}

/// A token is most of a contact, and contacts are most of what a push reads: lower-case hex digits, as Apple's tokens
/// have, take half their length, and base64url digits with colons between, as Google's have, three quarters.
#[derive(Serialize, Deserialize)]
enum PackedToken {
    Text(String),
    Hex(Vec<u8>),
    /// The lengths of the parts between colons, and the digits of all parts, six bits each.
    Base64(Vec<u16>, Vec<u8>),
}

/// Packs devices into one value.
pub(super) fn pack(devices: &[Device]) -> Result<Vec<u8>, StoreError> {
    let packed: Vec<Packed> = devices.iter().map(Packed::from).collect();
    postcard::to_extend(&packed, vec![VERSION]).map_err(|error| StoreError::corrupt("contact", error))
}

/// Unpacks what [`pack`] made.
pub(super) fn unpack(value: &[u8]) -> Result<Vec<Device>, StoreError> {
    let Some((&VERSION, packed)) = value.split_first() else {
        return Err(StoreError::corrupt("contact", "devices of an unknown version"));
    };
    let packed: Vec<Packed> = postcard::from_bytes(packed).map_err(|error| StoreError::corrupt("contact", error))?;
    packed
        .into_iter()
        .map(|packed| packed.device().ok_or_else(|| StoreError::corrupt("contact", "a device that is none")))
        .collect()
}

impl From<&Device> for Packed {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.as_str().to_owned(),
            platform: platform_number(device.platform),
            channel: channel_number(device.channel),
            token: PackedToken::from(&device.token),
            package: device.package.clone(),
            push_enabled: device.push_enabled,
            language: device.language.clone(),
            registered_at: device.registered_at.millis(),
            active_after: device.active_at.millis_since(device.registered_at).div_euclid(1_000),
        }
    }
}

impl Packed {
    fn device(self) -> Option<Device> {
        Some(Device {
            id: DeviceId::try_from(self.id).ok()?,
            platform: Platform::ALL.iter().copied().find(|known| platform_number(*known) == self.platform)?,
            channel: Channel::ALL.iter().copied().find(|known| channel_number(*known) == self.channel)?,
            token: self.token.into(),
            package: self.package,
            push_enabled: self.push_enabled,
            language: self.language,
            registered_at: Timestamp::from_millis(self.registered_at),
            active_at: Timestamp::from_millis(self.registered_at).plus_secs(self.active_after),
        })
    }
}

impl From<&DeviceToken> for PackedToken {
    fn from(token: &DeviceToken) -> Self {
        let text = token.expose();
        let base64 = || sixbit(text).map(|(lengths, bits)| Self::Base64(lengths, bits));
        unhex(text).map(Self::Hex).or_else(base64).unwrap_or_else(|| Self::Text(text.to_owned()))
    }
}

impl From<PackedToken> for DeviceToken {
    fn from(token: PackedToken) -> Self {
        match token {
            PackedToken::Text(text) => Self::new(text),
            PackedToken::Hex(bytes) => Self::new(base16ct::lower::encode_string(&bytes)),
            PackedToken::Base64(lengths, bits) => Self::new(unsixbit(&lengths, &bits)),
        }
    }
}

/// The bytes of a text that is nothing but pairs of lower-case hex digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    base16ct::lower::decode_vec(text).ok().filter(|bytes| !bytes.is_empty())
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The lengths of the parts between colons, and the digits, if the text has no other characters.
fn sixbit(text: &str) -> Option<(Vec<u16>, Vec<u8>)> {
    let lengths = text.split(':').map(|part| u16::try_from(part.len()).ok()).collect::<Option<_>>()?;
    let (mut bits, mut pending, mut count) = (Vec::with_capacity(text.len() * 3 / 4 + 1), 0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b':') {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        pending = pending << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bits.push((pending >> count) as u8);
        }
    }
    if count > 0 {
        bits.push((pending << (8 - count)) as u8);
    }
    Some((lengths, bits))
}

fn unsixbit(lengths: &[u16], bits: &[u8]) -> String {
    let digit = |index: usize| {
        let (byte, offset) = (index * 6 / 8, index * 6 % 8);
        let pair = [byte, byte + 1].map(|byte| u16::from(bits.get(byte).copied().unwrap_or_default()));
        let digit = (pair[0] << 8 | pair[1]) >> (10 - offset) & 0x3F;
        char::from(DIGITS[usize::from(digit)])
    };
    let mut next = 0;
    let parts = lengths.iter().map(|length| {
        let part: String = (next..next + usize::from(*length)).map(digit).collect();
        next += usize::from(*length);
        part
    });
    parts.collect::<Vec<_>>().join(":")
}

fn platform_number(platform: Platform) -> u8 {
    match platform {
        Platform::Ios => 1,
        Platform::Android => 2,
        Platform::Harmony => 3,
        Platform::Web => 4,
    }
}

fn channel_number(channel: Channel) -> u8 {
    match channel {
        Channel::Ws => 0,
        Channel::Apns => 1,
        Channel::Fcm => 2,
        Channel::Huawei => 3,
        Channel::Honor => 4,
        Channel::Harmony => 5,
        Channel::Xiaomi => 6,
        Channel::Oppo => 7,
        Channel::Vivo => 8,
        Channel::Meizu => 9,
        Channel::Webpush => 10,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn device(token: &str) -> Device {
        Device {
            id: DeviceId::try_from("phone").unwrap(),
            platform: Platform::Ios,
            channel: Channel::Apns,
            token: DeviceToken::new(token),
            package: Some("com.example.app".to_owned()),
            push_enabled: true,
            language: None,
            registered_at: Timestamp::from_secs(1_700_000_000),
            active_at: Timestamp::from_secs(1_700_000_001),
        }
    }

    #[test]
    fn devices_survive_packing() {
        for token in
            ["00ff", "00FF", "00f", "", ":", "dKw:APA91b-_x", "a::b:", "dKw:APA91b-_xy", "a.b", "{\"endpoint\":1}"]
        {
            let devices = vec![device(token), device("other")];
            assert_eq!(unpack(&pack(&devices).unwrap()).unwrap(), devices, "{token}");
        }
    }

    /// Stored items outlive this code: a change here is a change of format, and takes a new version byte.
    #[test]
    fn the_stored_format_stays() {
        assert_eq!(
            base16ct::lower::encode_string(&pack(&[device("00ff")]).unwrap()),
            "01010570686f6e650101010200ff010f636f6d2e6578616d706c652e617070010080a0abfef96202"
        );
    }

    #[test]
    fn tokens_take_less_than_their_length() {
        let packed = |token: &str| pack(&[device(token)]).unwrap().len();
        let as_text = |token: &str| packed(&".".repeat(token.len()));
        let apple = "0f".repeat(32);
        assert_eq!(as_text(&apple) - packed(&apple), 32);
        let google = format!("{}:{}", "c".repeat(22), "A".repeat(119));
        assert_eq!(as_text(&google) - packed(&google), 34);
    }

    #[test]
    fn an_unknown_version_is_refused() {
        assert!(unpack(&[2, 0]).is_err());
        assert!(unpack(&[]).is_err());
        assert!(unpack(&[1, 9]).is_err());
    }

    #[test]
    fn every_name_has_a_number_of_its_own() {
        let channels: BTreeSet<u8> = Channel::ALL.iter().map(|channel| channel_number(*channel)).collect();
        assert_eq!(channels.len(), Channel::ALL.len());
        let platforms: BTreeSet<u8> = Platform::ALL.iter().map(|platform| platform_number(*platform)).collect();
        assert_eq!(platforms.len(), Platform::ALL.len());
    }
}
