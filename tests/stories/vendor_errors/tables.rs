//! What the vendors' documents list, a table a vendor.

use fanfare::domain::Channel;

use super::row::Meaning::{
    Auth, Config, DeviceQuota, Doubted, Gone, NotEntitled, Permanent, Quota, Renewed, Suspended, Throttled, Transient,
};
use super::row::{Row, Said, all, one, own};

/// Too fast, and the vendor does not say for how long.
const TOO_FAST: super::row::Meaning = Throttled(2);

/// A vendor's table, and the code that reads its answers.
pub(super) struct Table {
    pub(super) channel: Channel,
    pub(super) rows: &'static [Row],
    /// The source of what sorts the answers.
    pub(super) source: &'static str,
}

macro_rules! table {
    ($channel:ident, $name:literal, $rows:expr) => {
        pub(super) const $channel: Table = Table {
            channel: channel($name),
            rows: $rows,
            source: include_str!(concat!("../../../shared/src/channel/", $name, "/answer.rs")),
        };
    };
}

const fn channel(name: &str) -> Channel {
    match name.as_bytes() {
        b"apns" => Channel::Apns,
        b"fcm" => Channel::Fcm,
        b"huawei" => Channel::Huawei,
        b"harmony" => Channel::Harmony,
        b"honor" => Channel::Honor,
        b"xiaomi" => Channel::Xiaomi,
        b"oppo" => Channel::Oppo,
        b"vivo" => Channel::Vivo,
        b"meizu" => Channel::Meizu,
        b"webpush" => Channel::Webpush,
        b"ws" => Channel::Ws,
        _ => panic!("there is no such channel"),
    }
}

table!(
    APNS,
    "apns",
    &[
        own(Said::Dead, 410, "Unregistered", Gone),
        one(410, "Unregistered", Gone),
        one(410, "ExpiredToken", Gone),
        one(400, "BadDeviceToken", Gone),
        one(400, "DeviceTokenNotForTopic", Gone),
        all(400, "BadDeviceToken", Doubted),
        all(400, "DeviceTokenNotForTopic", Doubted),
        all(410, "Unregistered", Doubted),
        one(400, "BadTopic", Permanent),
        one(400, "PayloadEmpty", Permanent),
        one(400, "BadExpirationDate", Permanent),
        one(400, "BadPriority", Permanent),
        one(400, "BadCollapseId", Permanent),
        one(400, "BadMessageId", Permanent),
        one(400, "TopicDisallowed", Permanent),
        one(404, "BadPath", Permanent),
        one(405, "MethodNotAllowed", Permanent),
        one(413, "PayloadTooLarge", Permanent),
        all(403, "ExpiredProviderToken", Auth),
        all(403, "InvalidProviderToken", Config),
        all(403, "MissingProviderToken", Config),
        all(403, "UnrelatedKeyIdInToken", Config),
        all(403, "BadEnvironmentKeyIdInToken", Config),
        all(403, "Forbidden", Config),
        all(429, "TooManyProviderTokenUpdates", Auth),
        one(429, "TooManyRequests", TOO_FAST),
        one(429, "TooManyRequests", TOO_FAST).after(6),
        one(500, "InternalServerError", Transient),
        one(503, "ServiceUnavailable", Transient),
        one(503, "ServiceUnavailable", Transient).after(6),
        one(503, "Shutdown", Transient),
        one(502, "", Transient),
        // Somebody on the way.
        one(400, "", Transient),
        one(410, "", Transient),
    ]
);

table!(
    FCM,
    "fcm",
    &[
        own(Said::Dead, 404, "UNREGISTERED", Gone),
        one(404, "UNREGISTERED", Gone),
        one(403, "SENDER_ID_MISMATCH", Gone),
        own(Said::Malformed, 400, "INVALID_ARGUMENT", Gone),
        all(404, "UNREGISTERED", Doubted),
        all(403, "SENDER_ID_MISMATCH", Doubted),
        one(400, "INVALID_ARGUMENT", Permanent),
        all(429, "QUOTA_EXCEEDED", Throttled(60)),
        all(429, "QUOTA_EXCEEDED", Throttled(60)).after(6),
        all(429, "RESOURCE_EXHAUSTED", Throttled(60)),
        one(503, "UNAVAILABLE", Transient),
        all(503, "UNAVAILABLE", Transient).after(6),
        one(500, "INTERNAL", Transient),
        one(502, "", Transient),
        one(403, "", Transient),
        all(401, "THIRD_PARTY_AUTH_ERROR", Config),
        all(401, "UNAUTHENTICATED", Renewed),
        all(401, "UNAUTHENTICATED", Auth),
        all(403, "PERMISSION_DENIED", Config),
        all(404, "NOT_FOUND", Config),
        all(404, "", Config),
    ]
);

table!(
    HUAWEI,
    "huawei",
    &[
        // 80100000 with `illegal_tokens`.
        own(Said::Dead, 200, "80100000", Gone),
        own(Said::AllDead, 200, "80300007", Doubted),
        all(200, "80300007", Doubted),
        all(200, "80200001", Renewed),
        all(200, "80200003", Renewed),
        all(401, "", Renewed),
        all(200, "80200001", Auth),
        all(200, "80200003", Auth),
        all(200, "80600003", Transient),
        all(200, "81000001", Transient),
        all(500, "", Transient),
        all(502, "", Transient).after(6),
        all(429, "", TOO_FAST),
        all(503, "", TOO_FAST),
        all(503, "", TOO_FAST).after(6),
        all(200, "80100001", Permanent),
        all(200, "80100003", Permanent),
        all(200, "80100004", Permanent),
        all(200, "80100013", Permanent),
        all(200, "80100016", Permanent),
        all(200, "80100018", Permanent),
        all(200, "80300008", Permanent),
        all(200, "80300010", Permanent),
        all(400, "", Permanent),
        all(413, "", Permanent),
        all(200, "80300002", Config),
        all(200, "80300011", Config),
        all(200, "80300013", Config),
        all(403, "", Config),
        all(404, "", Config),
        // What nobody knows.
        all(200, "89999999", Transient),
    ]
);

table!(
    HARMONY,
    "harmony",
    &[
        own(Said::Dead, 200, "80100000", Gone),
        one(200, "tokenFormatError", Gone),
        one(200, "tokenPlatformNotSupport", Gone),
        own(Said::AllDead, 400, "80300007", Doubted),
        all(200, "tokenPlatformNotSupport", Doubted),
        one(200, "noRight", NotEntitled),
        all(200, "appinfoError", Config),
        all(200, "noPushTypeRight", Config),
        all(200, "disableSendHuaweiMsgBecauseOfPenalty", Config),
        one(200, "countryNotSupport", Permanent),
        all(401, "80200001", Renewed),
        all(401, "80200005", Renewed),
        all(401, "80200003", Renewed),
        all(401, "80200001", Auth),
        all(200, "80200005", Auth),
        all(401, "", Auth),
        all(200, "80300008", Permanent),
        all(200, "80300010", Permanent),
        all(400, "80100001", Permanent),
        all(400, "80100003", Permanent),
        all(400, "80100004", Permanent),
        all(400, "80100013", Permanent),
        all(400, "80100016", Permanent),
        all(400, "80100022", Permanent),
        all(200, "80300002", Config),
        all(200, "80300011", Config),
        all(200, "80300029", Config),
        all(200, "80300030", Config),
        all(200, "80300036", Config),
        all(200, "80300037", Config),
        all(404, "", Config),
        all(429, "", TOO_FAST),
        all(503, "", TOO_FAST),
        all(503, "80300008", TOO_FAST).after(6),
        all(500, "", Transient),
        all(502, "", Transient).after(6),
        all(200, "81000001", Transient),
        all(200, "80600003", Transient),
        // What nobody knows.
        all(200, "89999999", Transient),
        all(400, "89999999", Permanent),
    ]
);

table!(
    HONOR,
    "honor",
    &[
        own(Said::Dead, 200, "200", Gone),
        own(Said::AllDead, 200, "200", Doubted),
        one(200, "failTokens", Transient),
        all(200, "failTokens", Transient),
        all(401, "", Renewed),
        all(200, "401", Renewed),
        all(401, "", Auth),
        all(200, "401", Auth),
        all(429, "", TOO_FAST),
        all(503, "", TOO_FAST),
        all(200, "429", TOO_FAST),
        all(200, "503", TOO_FAST),
        all(503, "", TOO_FAST).after(6),
        all(500, "", Transient),
        all(502, "", Transient).after(6),
        all(200, "500", Transient),
        all(200, "80300007", Transient),
        all(400, "", Permanent),
        all(404, "", Permanent),
        all(200, "400", Permanent),
    ]
);

table!(
    XIAOMI,
    "xiaomi",
    &[
        // 0 with `bad_regids`.
        own(Said::Dead, 200, "0", Gone),
        own(Said::AllDead, 200, "20301", Doubted),
        all(200, "10002", TOO_FAST),
        all(200, "10003", TOO_FAST),
        all(200, "10027", TOO_FAST),
        all(200, "10037", TOO_FAST),
        all(429, "", TOO_FAST),
        all(429, "", TOO_FAST).after(6),
        all(200, "-1", Transient),
        all(200, "10001", Transient),
        all(200, "26003", Transient),
        all(200, "99999", Transient),
        all(500, "", Transient),
        all(503, "", Transient).after(6),
        all(200, "200001", Quota),
        all(200, "10034", Quota),
        all(200, "21301", Config),
        all(200, "21302", Config),
        all(200, "21303", Config),
        all(200, "22000", Config),
        all(200, "22006", Config),
        all(200, "22007", Config),
        all(200, "22022", Config),
        all(200, "10031", Config),
        all(200, "10036", Config),
        all(200, "26006", Config),
        all(401, "", Config),
        all(403, "", Config),
        all(200, "27001", Permanent),
        all(200, "26004", Permanent),
        all(200, "10008", Permanent),
        all(200, "10012", Permanent),
        all(200, "10016", Permanent),
        all(400, "10017", Permanent),
        all(200, "21305", Permanent),
        all(200, "65008", Permanent),
        all(200, "65009", Permanent),
        all(200, "65010", Permanent),
        all(200, "65011", Permanent),
        all(200, "65014", Permanent),
        all(200, "65015", Permanent),
        all(200, "65017", Permanent),
        all(200, "65035", Permanent),
        all(200, "65036", Permanent),
        all(200, "65037", Permanent),
        all(200, "65038", Permanent),
    ]
);

table!(
    OPPO,
    "oppo",
    &[
        own(Said::Dead, 200, "10000", Gone),
        one(200, "10000", Gone),
        own(Said::AllDead, 200, "10000", Doubted),
        all(200, "10000", Doubted),
        one(200, "10001", Suspended),
        all(200, "10001", Suspended),
        all(200, "11", Renewed),
        all(200, "29", Renewed),
        all(401, "", Renewed),
        all(200, "11", Auth),
        all(200, "29", Auth),
        all(200, "-2", TOO_FAST),
        all(200, "13", TOO_FAST),
        all(200, "55", TOO_FAST),
        all(429, "", TOO_FAST),
        all(200, "13", TOO_FAST).after(6),
        all(200, "-1", Transient),
        all(200, "1", Transient),
        all(500, "", Transient),
        all(503, "", Transient).after(6),
        all(200, "33", Quota),
        all(200, "14", Config),
        all(200, "15", Config),
        all(200, "16", Config),
        all(200, "17", Config),
        all(200, "18", Config),
        all(200, "19", Config),
        all(200, "26", Config),
        all(200, "27", Config),
        all(200, "28", Config),
        all(200, "30", Config),
        all(200, "59", Config),
        all(403, "", Config),
        all(404, "", Config),
        all(200, "12", Permanent),
        all(200, "20", Permanent),
        all(200, "21", Permanent),
        all(200, "22", Permanent),
        all(200, "23", Permanent),
        all(200, "24", Permanent),
        all(200, "25", Permanent),
        all(200, "40", Permanent),
        all(200, "41", Permanent),
        all(200, "51", Permanent),
        all(200, "67", Permanent),
        all(413, "", Permanent),
    ]
);

table!(
    VIVO,
    "vivo",
    &[
        own(Said::Dead, 200, "1", Gone),
        one(200, "1", Gone),
        one(200, "2", Gone),
        own(Said::AllDead, 200, "1", Doubted),
        one(200, "3", Suspended),
        one(200, "4", NotEntitled),
        one(200, "9", Permanent),
        all(200, "10000", Renewed),
        all(401, "", Renewed),
        all(200, "10000", Auth),
        all(200, "10072", TOO_FAST),
        all(200, "10072", TOO_FAST).after(6),
        all(429, "", TOO_FAST),
        all(500, "", Transient),
        all(503, "", Transient).after(6),
        all(200, "10302", Transient),
        all(200, "20000", Transient),
        all(200, "10070", Quota),
        all(200, "10073", Quota),
        all(200, "10252", Quota),
        all(200, "10254", Quota),
        all(200, "10071", Permanent),
        all(200, "10085", Permanent),
        all(200, "10094", Permanent),
        all(200, "10096", Permanent),
        all(200, "10097", Permanent),
        all(200, "10104", Permanent),
        all(413, "", Permanent),
        all(403, "", Config),
        all(404, "", Config),
    ]
);

table!(
    MEIZU,
    "meizu",
    &[
        own(Said::Dead, 200, "110002", Gone),
        one(200, "110002", Gone),
        one(200, "110003", Gone),
        own(Said::AllDead, 200, "110002", Doubted),
        one(200, "110010", Suspended),
        one(200, "110011", DeviceQuota),
        one(200, "501", Transient),
        one(200, "513", Transient),
        one(200, "519", Transient),
        one(200, "518", TOO_FAST),
        one(200, "201", Permanent),
        one(200, "520", Permanent),
        all(200, "110010", TOO_FAST),
        all(429, "", TOO_FAST).after(6),
        all(200, "500", Transient),
        all(200, "1001", Transient),
        all(200, "1003", Transient),
        all(500, "", Transient),
        all(503, "", Transient).after(6),
        all(200, "110019", Quota),
        all(200, "110051", Quota),
        all(200, "1005", Permanent),
        all(200, "110004", Permanent),
        all(200, "110033", Permanent),
        all(200, "1006", Config),
        all(200, "110000", Config),
        all(200, "110001", Config),
        all(200, "110009", Config),
        all(401, "", Config),
        all(403, "", Config),
    ]
);

table!(
    WEBPUSH,
    "webpush",
    &[
        own(Said::Dead, 410, "", Gone),
        one(404, "no such subscription", Gone),
        one(410, "gone", Gone),
        all(410, "gone", Doubted),
        one(400, "bad request", Permanent),
        one(413, "too long", Permanent),
        one(418, "", Permanent),
        all(401, "no", Auth),
        one(403, "not your subscription", NotEntitled),
        one(429, "slow down", TOO_FAST),
        one(429, "slow down", TOO_FAST).after(6),
        one(408, "", Transient),
        one(500, "", Transient),
        one(502, "", Transient),
        one(503, "", Transient).after(6),
        one(301, "", Transient),
    ]
);

/// API Gateway's answers to posts, by the name of the error; those that are no vendor's are stories of their own.
pub(super) const WS: Table = Table {
    channel: Channel::Ws,
    rows: &[
        all(410, "GoneException", Gone),
        all(429, "LimitExceededException", TOO_FAST),
        all(413, "PayloadTooLargeException", Permanent),
        all(403, "ForbiddenException", NotEntitled),
        all(401, "UnauthorizedException", NotEntitled),
        all(500, "InternalServerError", Transient),
    ],
    source: include_str!("../../../shared/src/channel/ws/answer.rs"),
};

/// All of them.
pub(super) const ALL: [Table; 11] = [APNS, FCM, HUAWEI, HARMONY, HONOR, XIAOMI, OPPO, VIVO, MEIZU, WEBPUSH, WS];
