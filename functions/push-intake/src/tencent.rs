//! The three calls of Tencent's contract that push: `im_push`, and `push` and `batch` of the newer service.

use fanfare::dialect::tencent::audience::Accounts;
use fanfare::dialect::tencent::caller::Caller;
use fanfare::dialect::tencent::{Call, Code, Command, Criteria, Error, PushRequest, Recipients, Reply, push, task_id};
use fanfare::domain::{App, Audience, DeviceFilter, Message, Push, PushId, QuotaError, Seq, Timestamp};
use fanfare::gate::Refused;
use fanfare::runtime::http::Request;
use fanfare::store::{Intake, Number, Refusal, Repeated};

use crate::accept::{NotAccepted, ordinals};
use crate::{PushIntake, told};

impl PushIntake {
    /// Answers a call.
    pub(crate) async fn tencent(&self, command: &Command, request: &Request) -> Reply {
        let internal = || Error::new(Code::Internal, "internal error: try again");
        push::answer(command.call, self.called(command, request).await.map_err(|refused| told(refused, internal)))
    }

    async fn called(&self, command: &Command, request: &Request) -> Result<Reply, Refused<Error>> {
        let (app, caller) = self.gate.server(command, request).await?;
        self.push(command, &app, &caller, &request.body).await
    }

    /// Accepts a push. Checks in the order of the dialect, and changes nothing before all have passed.
    async fn push(&self, command: &Command, app: &App, caller: &Caller, body: &[u8]) -> Result<Reply, Refused<Error>> {
        let now = self.clock.now();
        let wanted = PushRequest::parse(command.call, body, app)?;
        self.check_sender(app, &wanted).await?;
        // The calls read the same request differently, so one is no repeat of the other.
        let dedup_key = format!("tencent#{}#{}#{}", command.path, caller.identifier, wanted.random);
        let (call, id) = (command.call, PushId::generate());
        let draft = Draft { call, app, caller, wanted: &wanted, dedup_key, id, now };
        match &wanted.recipients {
            Recipients::Everyone => self.to_matching(&draft, Audience::Everyone).await,
            Recipients::Matching(criteria) => self.to_matching(&draft, self.audience(app, criteria).await?).await,
            Recipients::Named(accounts) => self.to_named(&draft, accounts).await,
        }
    }

    /// Whoever is shown as the sender must exist. The app's administrators do, the caller among them, whether or not they are
    /// accounts.
    async fn check_sender(&self, app: &App, wanted: &PushRequest) -> Result<(), Refused<Error>> {
        let Some(sender) = &wanted.sender else { return Ok(()) };
        let admins = app.tencent.as_ref().map_or(&[][..], |tencent| &tencent.admins);
        if admins.iter().any(|admin| admin == sender.as_str()) {
            return Ok(());
        }
        let known = self.users.get(&app.id, std::slice::from_ref(sender)).await?;
        if known.is_empty() { Err(push::unknown_sender().into()) } else { Ok(()) }
    }

    async fn audience(&self, app: &App, criteria: &Criteria) -> Result<Audience, Refused<Error>> {
        let names = match criteria {
            Criteria::Attributes { .. } => self.users.attribute_names(&app.id).await?,
            Criteria::Tags { .. } => Default::default(),
        };
        Ok(criteria.audience(&names)?)
    }

    /// A push to everyone or to those who match spends of the app's quota, and gets a number.
    async fn to_matching(&self, draft: &Draft<'_>, audience: Audience) -> Result<Reply, Refused<Error>> {
        let app = draft.app;
        let population = self.users.population(&app.id).await?;
        let intake = draft.intake(Number::Paid(&app.quotas));
        let told =
            self.accept(app, &intake, |seq| draft.push(seq, audience.clone(), population)).await.map_err(refused)?;
        Ok(push::accepted(&told.task_id, &[]))
    }

    /// A push to named users is bound by its calls a second and not by the app's quota, and needs no number.
    async fn to_named(&self, draft: &Draft<'_>, accounts: &Accounts) -> Result<Reply, Refused<Error>> {
        let users = self.users.get(&draft.app.id, &accounts.ids).await?;
        let not_meant = accounts.refusals(&users);
        if users.is_empty() {
            return Ok(push::for_no_one(&not_meant));
        }
        let (named, population) = ordinals(&users);
        let push = |seq| draft.push(seq, Audience::Users(named.clone()), population);
        let told = self.accept(draft.app, &draft.intake(Number::None), push).await.map_err(refused)?;
        Ok(push::accepted(&told.task_id, &not_meant))
    }
}

/// A push but for its audience, and for the number that it gets when it is accepted.
struct Draft<'a> {
    call: Call,
    app: &'a App,
    caller: &'a Caller,
    wanted: &'a PushRequest,
    dedup_key: String,
    id: PushId,
    now: Timestamp,
}

impl Draft<'_> {
    fn intake<'a>(&'a self, number: Number<'a>) -> Intake<'a> {
        let (fingerprint, secs) = (self.wanted.fingerprint(), self.app.quotas.dedup_secs);
        let repeated = Repeated::BySameContent { key: &self.dedup_key, fingerprint, secs };
        Intake { app: &self.app.id, repeated, number, now: self.now }
    }

    fn push(&self, seq: Option<Seq>, audience: Audience, population: u32) -> Push {
        let sdk_app_id = self.app.tencent.as_ref().map_or(0, |tencent| tencent.sdk_app_id);
        let content = self.wanted.content.clone();
        let sender = self.wanted.sender.as_ref().map_or(self.caller.identifier.as_str(), |sender| sender.as_str());
        Push {
            id: self.id,
            app: self.app.id.clone(),
            seq,
            accepted_at: self.now,
            audience,
            devices: DeviceFilter::default(),
            population,
            message: Some(Message {
                sender: sender.to_owned(),
                body: content.body,
                notification: content.shown,
                kept: content.kept,
                recallable: false,
            }),
            notification: content.notification,
            lifetime_secs: content.lifetime_secs,
            task_id: task_id::task_id(self.call, sdk_app_id, self.id, self.wanted.random),
            revokes: None,
            data_id: self.wanted.data_id.clone(),
        }
    }
}

fn refused(reason: NotAccepted) -> Refused<Error> {
    let quota = match reason {
        NotAccepted::TooLarge(fault) => {
            return Error::new(Code::OfflinePushInfo, format!("OfflinePushInfo is {fault}")).into();
        }
        NotAccepted::Refused(Refusal::Quota(quota)) => quota,
        NotAccepted::Refused(Refusal::Store(failure)) => return failure.into(),
    };
    let code = match quota {
        QuotaError::TooSoon(_) => Code::PushTooSoon,
        QuotaError::UsedUp(_) => Code::PushQuota,
    };
    Error::new(code, quota.to_string()).into()
}
