//! The rules of Fanfare, without I/O: who can be reached, who is meant, what is sent, and what came of it.
//!
//! Nothing here knows a wire contract, a database or a queue.

mod app;
mod attribute_names;
mod audience;
mod channels;
mod condition;
mod delivery;
mod device;
mod device_filter;
mod ids;
pub mod limits;
pub mod notification;
mod pace;
mod presence;
mod push;
mod quiet_hours;
mod quota;
mod rate;
mod shard_set;
mod state_change;
mod term;
mod time;
mod user;

pub use app::{App, AppName, CallRates, Quotas, Rongcloud, Service, Tencent, Webhook, WebhookEvent};
pub use attribute_names::{AttributeNames, NameError};
pub use audience::Audience;
pub use channels::{
    ApnsCredentials, Channels, FcmCredentials, HarmonyCredentials, HonorCredentials, HuaweiCredentials,
    MeizuCredentials, OppoCredentials, ServiceAccount, VivoCredentials, WebpushCredentials, XiaomiCredentials,
};
pub use condition::Condition;
pub use delivery::{Outcome, OutcomeClass, Tally};
pub use device::{Channel, Device, DeviceToken, Platform, UnknownName};
pub use device_filter::DeviceFilter;
pub use ids::{AppId, Block, ConnectionId, DeviceId, InvalidId, Ordinal, PushId, Seq, Shard, UserId};
pub use notification::{Notification, TooLong, Wording};
pub use pace::{Pace, Slot};
pub use presence::{Presence, Reach};
pub use push::{Message, Push};
pub use quiet_hours::{QuietHours, QuietLevel};
pub use quota::{QuotaError, Spent};
pub use rate::{Per, Rate, Window};
pub use shard_set::ShardSet;
pub use state_change::{SocketChange, StateChange};
pub use term::{AttributeSlot, AttributeValue, InvalidTerm, Tag, Term};
pub use time::Timestamp;
pub use user::{Edit, EditError, Profile, User};
