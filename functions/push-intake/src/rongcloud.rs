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

use crate::accept::{Told, ordinals};
use crate::{PushIntake, log};

/// Whether a call is answered here: those that push, and those that withdraw what was pushed.
pub(crate) const fn is_ours(call: Call) -> bool {
    matches!(
        call,
        Call::Push
            | Call::PushUser
            | Call::PushCustom
            | Call::Broadcast
            | Call::OnlineBroadcast
            | Call::RecallBroadcast
    )
}

impl PushIntake {
    /// Answers a call.
    pub(crate) async fn rongcloud(&self, command: &Command, request: &Request) -> Reply {
        match self.signed(command, request).await {
            Ok(reply) => reply,
            Err(error) => Reply::failed(&request.path, &error),
        }
    }

    async fn signed(&self, command: &Command, request: &Request) -> Result<Reply, Error> {
        let app = self.gate.signed(command, request).await.map_err(|refused| match refused {
            Refused::Told(error) => error,
            Refused::Store(failure) => internal(failure),
        })?;
        let asked = Asked { app: &app, command, request, now: self.clock.now() };
        let body = request.body.as_slice();
        match command.call {
            Call::PushUser => self.push_notification_or_message(&asked, PushRequest::user(body)?).await,
            Call::PushCustom => self.push_notification_or_message(&asked, PushRequest::custom(body)?).await,
            Call::Broadcast => match Recall::of_broadcast(body)? {
                Some(recall) => Ok(with_message_id(self.recall(&asked, &recall).await?.push)),
                None => self.broadcast(&asked, Broadcast::to_all(body)?).await,
            },
            Call::OnlineBroadcast => self.broadcast(&asked, Broadcast::to_online(body)?).await,
            Call::RecallBroadcast => self.recall(&asked, &Recall::parse(body)?).await.map(|_| Reply::ok()),
            Call::Push => self.push_notification_or_message(&asked, PushRequest::push(body)?).await,
            // Left to the function that keeps users: no route leads here.
            _ => Err(Error::new(Code::NotFound, "this is not called here")),
        }
    }

    async fn push_notification_or_message(&self, asked: &Asked<'_>, wanted: PushRequest) -> Result<Reply, Error> {
        let draft = Draft {
            id: PushId::generate(),
            devices: wanted.receivers.devices.clone(),
            message: wanted.message.as_ref(),
            recallable: true,
            notification: wanted.notification.as_ref(),
            lifetime_secs: asked.app.quotas.lifetime_secs,
        };
        let told = self.push_to(asked, &draft, &wanted.receivers.users, wanted.fingerprint()).await?;
        Ok(wanted.accepted(told.push))
    }

    /// A message to everyone: to all, or only to those who are online, or are soon.
    async fn broadcast(&self, asked: &Asked<'_>, wanted: Broadcast) -> Result<Reply, Error> {
        let only_online = asked.command.call == Call::OnlineBroadcast;
        let draft = Draft {
            id: PushId::generate(),
            devices: wanted.devices.clone(),
            message: Some(&wanted.message),
            recallable: !only_online,
            notification: wanted.notification.as_ref(),
            lifetime_secs: if only_online { ONLINE_SECS } else { asked.app.quotas.lifetime_secs },
        };
        let told = self.push_to(asked, &draft, &Users::Everyone, wanted.fingerprint()).await?;
        Ok(wanted.accepted(told.push))
    }

    /// Accepts a push. Of named users those that are not known are skipped, and should that be all, it goes nowhere.
    async fn push_to(
        &self,
        asked: &Asked<'_>,
        draft: &Draft<'_>,
        users: &Users,
        fingerprint: &[u8; 32],
    ) -> Result<Told, Error> {
        let app = asked.app;
        fits_a_frame(&draft.push(asked, Some(Seq(u64::MAX)), Audience::Everyone, u32::MAX))?;
        let (audience, population) = match users {
            Users::Everyone => (Audience::Everyone, self.population(app).await?),
            Users::Matching(condition) => (Audience::Matching(condition.clone()), self.population(app).await?),
            Users::Named(ids) => {
                let ids: Vec<UserId> = ids.iter().cloned().collect();
                let (named, population) = ordinals(&self.users.get(&app.id, &ids).await.map_err(internal)?);
                (Audience::Users(named), population)
            }
        };
        let repeat = Repeat::of(asked.command, &asked.request.headers, fingerprint);
        let repeated = match &repeat {
            None => Repeated::Never,
            Some(Repeat { key, fingerprint }) => {
                Repeated::BySameContent { key, fingerprint, secs: app.quotas.dedup_secs }
            }
        };
        let number = if draft.is_kept() { Number::Next } else { Number::None };
        let intake = Intake { app: &app.id, repeated, number, now: asked.now };
        let push = |seq| draft.push(asked, seq, audience.clone(), population);
        self.accept(&intake, push).await.map_err(refused)
    }

    async fn population(&self, app: &App) -> Result<u32, Error> {
        self.users.population(&app.id).await.map_err(internal)
    }

    /// Withdraws a message: a push of its own that tells those who have it, to the same users and devices, as long as the
    /// message would have been kept. Who repeats it is answered the same.
    async fn recall(&self, asked: &Asked<'_>, wanted: &Recall) -> Result<Told, Error> {
        let original = self.pushes.get(wanted.message).await.map_err(internal)?;
        let recallable = |push: &Arc<Push>| {
            let is_the_callers = push
                .message
                .as_ref()
                .is_some_and(|message| message.recallable && message.sender == wanted.sender.as_str());
            push.app == asked.app.id && is_the_callers && asked.now < push.deadline()
        };
        let original = original.filter(recallable).ok_or_else(Recall::unknown_message)?;
        let id = PushId::generate();
        let push = |seq| withdrawal(&original, wanted, id, seq, asked.now);
        fits_a_frame(&push(Some(Seq(u64::MAX))))?;
        let number = if original.kept().is_some() { Number::Next } else { Number::None };
        let repeated = Repeated::ByWithdrawing(&original);
        let intake = Intake { app: &asked.app.id, repeated, number, now: asked.now };
        self.accept(&intake, push).await.map_err(refused)
    }
}

/// A call that was let in.
struct Asked<'a> {
    app: &'a App,
    command: &'a Command,
    request: &'a Request,
    now: Timestamp,
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

/// The push that withdraws another.
fn withdrawal(original: &Push, wanted: &Recall, id: PushId, seq: Option<Seq>, now: Timestamp) -> Push {
    // Not shorter by a part of a second than what it withdraws.
    let left_millis = original.expires_at().map_or(0, |end| end.millis_since(now).max(0));
    Push {
        id,
        app: original.app.clone(),
        seq,
        accepted_at: now,
        audience: original.audience.clone(),
        devices: original.devices.clone(),
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

fn with_message_id(id: PushId) -> Reply {
    Reply::ok().with("messageUID", id.to_string())
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        // Nothing is paid for here: the contract's quota is how often a call may come.
        Refusal::Quota(quota) => Error::new(Code::TooFrequent, quota.to_string()),
        Refusal::Store(failure) => internal(failure),
    }
}

fn internal(failure: StoreError) -> Error {
    log(&failure);
    Error::new(Code::Internal, "internal error: try again")
}
