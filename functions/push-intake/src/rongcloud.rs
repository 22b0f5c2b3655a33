//! The calls of RongCloud's contract that push, and those that withdraw what was pushed.

use std::sync::Arc;

use fanfare::channel::ws;
use fanfare::dialect::rongcloud::{
    Broadcast, Call, Code, Command, Error, ONLINE_SECS, PushRequest, Recall, Repeat, Reply, SystemMessage, Users,
};
use fanfare::domain::{
    App, Audience, DeviceFilter, Message, Notification, Push, PushId, Seq, Timestamp, UserId, limits,
};
use fanfare::gate::Refused;
use fanfare::runtime::http::Request;
use fanfare::store::{Intake, Number, Refusal, Repeated, StoreError};

use crate::accept::{NotAccepted, Told, ordinals};
use crate::{PushIntake, told};

/// What a call asks for.
enum Wanted {
    /// A notification, or a message.
    Push(PushRequest),
    /// A message to everyone.
    Broadcast(Broadcast),
    /// That a message is withdrawn.
    Recall(Recall),
}

impl Wanted {
    fn parse(call: Call, body: &[u8]) -> Result<Self, Error> {
        Ok(match call {
            Call::Push => Self::Push(PushRequest::push(body)?),
            Call::PushUser => Self::Push(PushRequest::user(body)?),
            Call::PushCustom => Self::Push(PushRequest::custom(body)?),
            Call::Broadcast => match Recall::of_broadcast(body)? {
                Some(recall) => Self::Recall(recall),
                None => Self::Broadcast(Broadcast::to_all(body)?),
            },
            Call::OnlineBroadcast => Self::Broadcast(Broadcast::to_online(body)?),
            Call::RecallBroadcast => Self::Recall(Recall::parse(body)?),
            // Left to the function that keeps users: no route leads here.
            _ => return Err(Error::new(Code::NotFound, "this is not called here")),
        })
    }

    /// The answer when it was accepted.
    fn accepted(&self, call: Call, id: PushId) -> Reply {
        match self {
            Self::Push(wanted) => wanted.accepted(id),
            Self::Broadcast(wanted) => wanted.accepted(id),
            Self::Recall(_) if call == Call::RecallBroadcast => Reply::ok(),
            // In its older form it is a message.
            Self::Recall(_) => Reply::ok().with("messageUID", id.to_string()),
        }
    }
}

impl PushIntake {
    /// Answers a call.
    pub(crate) async fn rongcloud(&self, command: &'static Command, request: &Request) -> Reply {
        match self.signed(command, request).await {
            Ok(reply) => reply,
            Err(refused) => Reply::failed(&request.path, &told(refused, Error::internal)),
        }
    }

    /// A repeat comes because an answer was lost. It is answered before calls are counted: where an hour has two, what was
    /// lost with the second could not be asked for again before the next.
    async fn signed(&self, command: &'static Command, request: &Request) -> Result<Reply, Refused<Error>> {
        let call = self.gate.signed(command, request).await?;
        let asked = Asked { app: &call.app, command, request, now: call.now };
        let wanted = Wanted::parse(command.call, &request.body);
        if let Ok(wanted) = &wanted
            && let Some(told) = self.repeat(&asked, wanted).await?
        {
            return Ok(wanted.accepted(command.call, told.push));
        }
        let done = async {
            let wanted = wanted?;
            let told = match &wanted {
                Wanted::Push(wanted) => self.push_notification_or_message(&asked, wanted).await?,
                Wanted::Broadcast(wanted) => self.broadcast(&asked, wanted).await?,
                Wanted::Recall(wanted) => self.recall(&asked, wanted).await?,
            };
            Ok(wanted.accepted(command.call, told.push))
        };
        self.gate.counted(&call, Box::pin(done)).await
    }

    /// Answers what was accepted before, as it was answered then.
    async fn repeat(&self, asked: &Asked<'_>, wanted: &Wanted) -> Result<Option<Told>, StoreError> {
        let fingerprint = match wanted {
            Wanted::Push(wanted) => wanted.fingerprint(),
            Wanted::Broadcast(wanted) => wanted.fingerprint(),
            Wanted::Recall(wanted) => {
                let Some(original) = self.recallable(asked, wanted).await? else { return Ok(None) };
                return self.answer_repeat(&asked.intake(Repeated::ByWithdrawing(&original), Number::None)).await;
            }
        };
        let repeat = Repeat::of(asked.command, &asked.request.headers, fingerprint);
        self.answer_repeat(&asked.intake(asked.repeated(repeat.as_ref()), Number::None)).await
    }

    async fn push_notification_or_message(
        &self,
        asked: &Asked<'_>,
        wanted: &PushRequest,
    ) -> Result<Told, Refused<Error>> {
        let draft = Draft {
            id: PushId::generate(),
            devices: wanted.receivers.devices.clone(),
            message: wanted.message.as_ref(),
            recallable: true,
            notification: wanted.notification.as_ref(),
            lifetime_secs: asked.app.quotas.lifetime_secs,
        };
        self.push_to(asked, &draft, &wanted.receivers.users, wanted.fingerprint()).await
    }

    /// A message to everyone: to all, or only to those who are online, or are soon.
    async fn broadcast(&self, asked: &Asked<'_>, wanted: &Broadcast) -> Result<Told, Refused<Error>> {
        let only_online = asked.command.call == Call::OnlineBroadcast;
        let draft = Draft {
            id: PushId::generate(),
            devices: wanted.devices.clone(),
            message: Some(&wanted.message),
            recallable: !only_online,
            notification: wanted.notification.as_ref(),
            lifetime_secs: if only_online { ONLINE_SECS } else { asked.app.quotas.lifetime_secs },
        };
        self.push_to(asked, &draft, &Users::Everyone, wanted.fingerprint()).await
    }

    /// Accepts a push. Of named users those that are not known are skipped, and should that be all, it goes nowhere.
    async fn push_to(
        &self,
        asked: &Asked<'_>,
        draft: &Draft<'_>,
        users: &Users,
        fingerprint: &[u8; 32],
    ) -> Result<Told, Refused<Error>> {
        let app = asked.app;
        fits_a_frame(&draft.push(asked, Some(Seq(u64::MAX)), Audience::Everyone, u32::MAX))?;
        let (audience, population) = match users {
            Users::Everyone => (Audience::Everyone, self.population(app).await?),
            Users::Matching(condition) => (Audience::Matching(condition.clone()), self.population(app).await?),
            Users::Named(ids) => {
                let ids: Vec<UserId> = ids.iter().cloned().collect();
                let (named, population) = ordinals(&self.users.get(&app.id, &ids).await?);
                (Audience::Users(named), population)
            }
        };
        let repeat = Repeat::of(asked.command, &asked.request.headers, fingerprint);
        let number = if draft.is_kept() { Number::Next } else { Number::None };
        let intake = asked.intake(asked.repeated(repeat.as_ref()), number);
        let push = |seq| draft.push(asked, seq, audience.clone(), population);
        self.accept(app, &intake, push).await.map_err(refused)
    }

    async fn population(&self, app: &App) -> Result<u32, StoreError> {
        self.users.population(&app.id).await
    }

    /// Withdraws a message: a push of its own that tells those who have it, to the same users, as long as the message
    /// would have been kept. Who repeats it is answered the same.
    async fn recall(&self, asked: &Asked<'_>, wanted: &Recall) -> Result<Told, Refused<Error>> {
        let original = self.recallable(asked, wanted).await?.ok_or_else(Recall::unknown_message)?;
        let id = PushId::generate();
        let push = |seq| withdrawal(&original, wanted, id, seq, asked.now);
        fits_a_frame(&push(Some(Seq(u64::MAX))))?;
        let number = if original.kept().is_some() { Number::Next } else { Number::None };
        self.accept(asked.app, &asked.intake(Repeated::ByWithdrawing(&original), number), push).await.map_err(refused)
    }

    /// The message that is to be withdrawn, if it is one of the caller's that can be.
    async fn recallable(&self, asked: &Asked<'_>, wanted: &Recall) -> Result<Option<Arc<Push>>, StoreError> {
        let original = self.pushes.get(wanted.message).await?;
        Ok(original.filter(|push| {
            let is_the_callers = push
                .message
                .as_ref()
                .is_some_and(|message| message.recallable && message.sender == wanted.sender.as_str());
            push.app == asked.app.id && is_the_callers && asked.now < push.deadline()
        }))
    }
}

/// A call that was let in.
struct Asked<'a> {
    app: &'a App,
    command: &'a Command,
    request: &'a Request,
    now: Timestamp,
}

impl Asked<'_> {
    fn intake<'b>(&'b self, repeated: Repeated<'b>, number: Number<'b>) -> Intake<'b> {
        Intake { app: &self.app.id, repeated, number, now: self.now }
    }

    fn repeated<'b>(&self, repeat: Option<&'b Repeat>) -> Repeated<'b> {
        match repeat {
            None => Repeated::Never,
            Some(Repeat { key, fingerprint }) => {
                Repeated::BySameContent { key, fingerprint, secs: self.app.quotas.dedup_secs }
            }
        }
    }
}

/// A push but for its users, and for the number that it gets when it is accepted.
struct Draft<'a> {
    id: PushId,
    devices: DeviceFilter,
    message: Option<&'a SystemMessage>,
    recallable: bool,
    notification: Option<&'a Notification>,
    lifetime_secs: u32,
}

impl Draft<'_> {
    /// Whether it is kept for those who are offline. A notification is not: nobody could ask for it.
    fn is_kept(&self) -> bool {
        self.message.is_some() && self.lifetime_secs > 0
    }

    fn push(&self, asked: &Asked<'_>, seq: Option<Seq>, audience: Audience, population: u32) -> Push {
        Push {
            id: self.id,
            app: asked.app.id.clone(),
            seq,
            accepted_at: asked.now,
            audience,
            devices: self.devices.clone(),
            population,
            message: self.message.map(|message| Message {
                sender: message.sender.to_string(),
                body: message.body.clone(),
                notification: None,
                kept: true,
                recallable: self.recallable,
            }),
            notification: self.notification.cloned(),
            lifetime_secs: self.lifetime_secs,
            task_id: self.id.to_string(),
            revokes: None,
            data_id: None,
        }
    }
}

/// The push that withdraws another. It is for all devices of those users: one that was what the message is for may be
/// registered as something else by now, or no longer, and has the message all the same. Where it was never shown there
/// is nothing to take back.
fn withdrawal(original: &Push, wanted: &Recall, id: PushId, seq: Option<Seq>, now: Timestamp) -> Push {
    // Not shorter by a part of a second than what it withdraws.
    let left_millis = original.expires_at().map_or(0, |end| end.millis_since(now).max(0));
    Push {
        id,
        app: original.app.clone(),
        seq,
        accepted_at: now,
        audience: original.audience.clone(),
        devices: DeviceFilter::default(),
        population: original.population,
        message: Some(Message {
            sender: wanted.sender.to_string(),
            body: wanted.body(),
            notification: None,
            kept: true,
            recallable: false,
        }),
        notification: None,
        lifetime_secs: u32::try_from((left_millis + 999) / 1_000).unwrap_or(original.lifetime_secs),
        task_id: id.to_string(),
        revokes: Some(original.id),
        data_id: None,
    }
}

/// A message goes to a socket in one frame. The contract lets messages be longer than a frame can be.
fn fits_a_frame(push: &Push) -> Result<(), Error> {
    let Some(_) = push.message else { return Ok(()) };
    let length = ws::frame(push).len();
    if length <= limits::FRAME_BYTES {
        return Ok(());
    }
    let (most, surplus) = (limits::FRAME_BYTES, length - limits::FRAME_BYTES);
    let fault =
        format!("the message is {surplus} bytes too long: as JSON, with all that surrounds it, {most} are the most");
    Err(Error::new(Code::TooLong, fault))
}

fn refused(reason: NotAccepted) -> Refused<Error> {
    match reason {
        NotAccepted::TooLarge(fault) => Error::new(Code::TooLong, format!("the notification is {fault}")).into(),
        // Nothing is paid for here: the contract's quota is how often a call may come.
        NotAccepted::Refused(Refusal::Quota(quota)) => Error::new(Code::TooFrequent, quota.to_string()).into(),
        NotAccepted::Refused(Refusal::Store(failure)) => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use fanfare::domain::{Ordinal, Platform};
    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn an_app() -> App {
        serde_json::from_value(json!({"id": "app"})).unwrap()
    }

    fn a_message(content: &str) -> SystemMessage {
        let body = json!({"objectName": "app:x", "content": content});
        SystemMessage { sender: UserId::try_from("u0").unwrap(), body }
    }

    /// A push as it is accepted at `NOW`.
    fn accepted(draft: &Draft<'_>, audience: Audience) -> Push {
        let request = Request {
            method: Method::POST,
            path: "/push.json".to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            source: None,
        };
        let command = Command::of(&request.path).unwrap();
        let asked = Asked { app: &an_app(), command, request: &request, now: NOW };
        draft.push(&asked, draft.is_kept().then_some(Seq(u64::MAX)), audience, u32::MAX)
    }

    fn draft<'a>(message: Option<&'a SystemMessage>, notification: Option<&'a Notification>) -> Draft<'a> {
        Draft {
            id: PushId::from_u128(u128::MAX),
            devices: DeviceFilter::default(),
            message,
            recallable: true,
            notification,
            lifetime_secs: 604_800,
        }
    }

    #[test]
    fn only_a_message_that_has_a_lifetime_is_kept() {
        let message = a_message("hi");
        assert!(draft(Some(&message), None).is_kept());
        assert!(!draft(None, None).is_kept());
        assert!(!Draft { lifetime_secs: 0, ..draft(Some(&message), None) }.is_kept());
        assert!(accepted(&draft(Some(&message), None), Audience::Everyone).kept().is_some());
    }

    #[test]
    fn a_withdrawal_ends_when_what_it_withdraws_would_have_and_goes_to_all_devices_of_the_same() {
        let message = a_message("hi");
        let named = Audience::Users(vec![Ordinal(3)]);
        let devices = DeviceFilter { platforms: [Platform::Ios].into(), package: Some("com.example".to_owned()) };
        let original = accepted(&Draft { devices, ..draft(Some(&message), None) }, named.clone());
        let form = format!("fromUserId=u0&messageUID={}&isDelete=1", original.id);
        let wanted = Recall::parse(form.as_bytes()).unwrap();
        for (later_millis, lifetime_secs) in
            [(0, 604_800), (1, 604_800), (999, 604_800), (1_000, 604_799), (604_799_999, 1), (700_000_000, 0)]
        {
            let now = NOW.plus_millis(later_millis);
            let push = withdrawal(&original, &wanted, PushId::from_u128(1), Some(Seq(2)), now);
            assert_eq!(push.lifetime_secs, lifetime_secs, "{later_millis}");
            assert_eq!((&push.audience, push.population, push.revokes), (&named, u32::MAX, Some(original.id)));
            assert_eq!((push.notification, push.message.unwrap().recallable), (None, false));
            assert!(push.devices.is_open(), "whoever has it is told, whatever it is registered as by now");
        }
    }

    #[test]
    fn a_message_is_measured_as_the_frame_that_it_becomes() {
        let fits = |content: &str| fits_a_frame(&accepted(&draft(Some(&a_message(content)), None), Audience::Everyone));
        let around = ws::frame(&accepted(&draft(Some(&a_message("")), None), Audience::Everyone)).len();
        let room = limits::FRAME_BYTES - around;
        assert_eq!(fits(&"x".repeat(room)), Ok(()));
        // Escaped in JSON, a quotation mark is two bytes.
        assert_eq!(fits(&"\"".repeat(room / 2)), Ok(()));
        for content in ["x".repeat(room + 1), "\"".repeat(room / 2 + 1)] {
            assert_eq!(fits(&content).unwrap_err().code, Code::TooLong);
        }
        assert_eq!(fits_a_frame(&accepted(&draft(None, None), Audience::Everyone)), Ok(()));
    }

    /// Largest item of DynamoDB, in bytes (DynamoDB service quotas: 400 KB).
    const ITEM_BYTES: usize = 400 * 1_024;

    #[test]
    fn the_fullest_push_fits_an_item_of_the_database() {
        // Quotation marks are escaped, so they are stored as two bytes.
        let tags = || -> Value { (0..20).map(|n| format!("{n:02}{}", "\"".repeat(38))).collect() };
        let items: Value = (0..20).map(|_| json!({"tags": tags(), "isNot": true, "tagsOperator": "AND"})).collect();
        let notification = json!({"title": "\"".repeat(50), "alert": "\"".repeat(9_000),
            "ios": {"extras": {"a": "\"".repeat(500)}}, "android": {"extras": {"a": "\"".repeat(500)}}});
        let audience = json!({"tagItems": items, "packageName": "\"".repeat(128)});
        let request = json!({"platform": ["ios", "android"], "audience": audience, "notification": notification});
        let wanted = PushRequest::custom(request.to_string().as_bytes()).unwrap();
        let Users::Matching(condition) = wanted.receivers.users else { unreachable!("it has tags") };
        let message = a_message(&"\"".repeat(16_000));
        let devices = wanted.receivers.devices;
        for audience in [Audience::Matching(condition), Audience::Users(vec![Ordinal(u32::MAX); 1_000])] {
            let draft = Draft { devices: devices.clone(), ..draft(Some(&message), wanted.notification.as_ref()) };
            let push = accepted(&draft, audience);
            assert_eq!(fits_a_frame(&push), Ok(()));
            let stored = serde_json::to_string(&push).unwrap().len();
            assert!(stored > 40_000 && stored < ITEM_BYTES / 2, "{stored}");
        }
    }
}
