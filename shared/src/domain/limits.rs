//! Every number that bounds something, and where it comes from.

/// Attribute slots of an app (Tencent, "Push to all users": numbers 0 to 9).
pub const ATTRIBUTE_SLOTS: u8 = 10;
/// Longest attribute name, in bytes of UTF-8 (Tencent, "Setting application attribute names").
pub const ATTRIBUTE_NAME_BYTES: usize = 50;
/// Longest attribute value, in bytes of UTF-8 (Tencent, "Setting user attributes").
pub const ATTRIBUTE_VALUE_BYTES: usize = 50;
/// Longest tag, in bytes of UTF-8 (Tencent, "Adding user tags").
pub const TAG_BYTES: usize = 50;
/// Most tags a user carries (Tencent, "Adding user tags").
pub const TAGS_PER_USER: usize = 100;
/// Longest time a message is kept for those who are offline, in seconds: seven days (Tencent, `MsgLifeTime`).
pub const LIFETIME_SECS: u32 = 604_800;
/// Longest message of Tencent's contract, in bytes: 12 KB (Tencent, error 93000). It is measured on the request's JSON without
/// insignificant white space, so that neither indentation nor `\u` escapes count against it.
pub const MESSAGE_BYTES: usize = 12 * 1024;
/// Longest request body that is read, in bytes: about ten times what the fullest request needs (ours), so that nobody
/// fills a function's memory with brackets.
pub const REQUEST_BYTES: usize = 1024 * 1024;
/// Most levels of lists and objects in a request body (ours). What a push stores and sends of it stands a few levels deeper
/// there, and a JSON parser reads no more than some hundred: ours 127.
pub const REQUEST_LEVELS: usize = 64;
/// Accounts that a request of Tencent's contract may name (Tencent, "Adding user tags", "Importing multiple accounts").
pub const ACCOUNTS_PER_REQUEST: usize = 100;
/// Accounts that a question about online states may name (Tencent, "Querying the online status of users").
pub const STATUS_ACCOUNTS: usize = 500;
/// A user who is offline counts as reachable by push for this many days after a device was last seen (Tencent,
/// "Querying the online status of users": `PushOnline` for seven days).
pub const PUSH_ONLINE_DAYS: i64 = 7;
/// Accounts that a push to named users may name (Tencent, "Single push": up to 500).
pub const TARGETS_PER_REQUEST: usize = 500;
/// Longest `DataId` of a push, in bytes (Tencent, "Single push", error 90057).
pub const DATA_ID_BYTES: usize = 64;
/// Tags that a request adds to a user, and tags in `TagsOr` or `TagsAnd` (Tencent, "Adding user tags", "Push to all users").
pub const TAGS_PER_REQUEST: usize = 10;
/// Longest account name of Tencent's contract, in bytes (Tencent, "Importing an account").
pub const ACCOUNT_BYTES: usize = 32;
/// Longest value in a user's profile, in bytes (Tencent, error 40601).
pub const PROFILE_VALUE_BYTES: usize = 500;
/// Most devices of a user; the one unseen longest makes room (client protocol, "Devices").
pub const DEVICES_PER_USER: usize = 10;
/// Vendor pushes go to devices active within this many days (RongCloud, `/push.json`: "the last 30 days").
pub const ACTIVE_DAYS: i64 = 30;
/// Longest package name or bundle id, in bytes (ours: longer than any in use).
pub const PACKAGE_BYTES: usize = 128;
/// Longest device token. A browser's push subscription, as JSON, is the longest of them.
pub const DEVICE_TOKEN_BYTES: usize = 2_048;

/// How long a push that is for online users only may wait in queues before it counts as expired, in seconds.
/// Longer than a paced broadcast to a million sockets, shorter than a reader's idea of "now".
pub const ONLINE_ONLY_SECS: i64 = 600;
/// How long a push and its ledger are kept, in seconds: thirty days.
pub const PUSH_RETENTION_SECS: i64 = 30 * 86_400;
/// Times that a device is tried before it counts as failed.
pub const ATTEMPTS: u8 = 6;

/// Most bytes of a notification's titles, text, data, addresses and names in JSON: Apple and Google take 4,096 bytes with
/// all that surrounds them (Tencent, `OfflinePushInfo`: "keep Desc and Ext under 3 KB").
pub const NOTIFICATION_BYTES: usize = 3_072;
/// Most languages of a notification (ours): more than any app is translated into, and a number that a byte holds.
pub const TRANSLATIONS: usize = 100;

/// Largest frame of a WebSocket API; a longer one would have to be split (API Gateway, WebSocket quotas).
pub const FRAME_BYTES: usize = 32 * 1024;
/// Largest batch message: one billing unit of SQS (SQS pricing: each 64 KB chunk is a request).
pub const BATCH_BYTES: usize = 64 * 1024;
/// Events that one call to an app's server carries (Tencent, "Callback of all-member push": `Events`, 1 to 100).
pub const EVENTS_PER_CALL: usize = 100;
/// Longest delay of an SQS message, in seconds (SQS, `DelaySeconds`).
pub const QUEUE_DELAY_SECS: i64 = 900;
