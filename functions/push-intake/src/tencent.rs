//! The three calls that push: `im_push`, and `push` and `batch` of the newer service.

use std::time::Duration;

use fanfare::dialect::tencent::audience::Accounts;
use fanfare::dialect::tencent::caller::Caller;
use fanfare::dialect::tencent::{Call, Code, Command, Criteria, Error, PushRequest, Recipients, Reply, push, task_id};
use fanfare::domain::{App, Audience, DeviceFilter, Message, Push, PushId, QuotaError, Seq, Timestamp};
use fanfare::queue::FanOutTask;
use fanfare::runtime::telemetry::chain;
use fanfare::store::{Accepted, Intake, Refusal};
use tracing::{info, warn};

use crate::{PushIntake, internal};

/// How long what a repeat starts waits for what the first time may have started: side by side they would do the same
/// work, and the one wait for the leases of the other.
const FIRST_GOES_FIRST: Duration = Duration::from_secs(5);

impl PushIntake {
    /// Accepts a push. Checks in the order of the dialect, and changes nothing before all have passed.
    pub(crate) async fn push(
        &self,
        command: &Command,
        app: &App,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Reply, Error> {
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
    async fn check_sender(&self, app: &App, wanted: &PushRequest) -> Result<(), Error> {
        let Some(sender) = &wanted.sender else { return Ok(()) };
        let admins = app.tencent.as_ref().map_or(&[][..], |tencent| &tencent.admins);
        if admins.iter().any(|admin| admin == sender.as_str()) {
            return Ok(());
        }
        let known = self.users.get(&app.id, std::slice::from_ref(sender)).await.map_err(internal)?;
        if known.is_empty() { Err(push::unknown_sender()) } else { Ok(()) }
    }

    async fn audience(&self, app: &App, criteria: &Criteria) -> Result<Audience, Error> {
        let names = match criteria {
            Criteria::Attributes { .. } => self.users.attribute_names(&app.id).await.map_err(internal)?,
            Criteria::Tags { .. } => Default::default(),
        };
        criteria.audience(&names)
    }

    /// A push to everyone or to those who match spends of the app's quota, and gets a number.
    async fn to_matching(&self, draft: &Draft<'_>, audience: Audience) -> Result<Reply, Error> {
        let app = &draft.app.id;
        let population = self.users.population(app).await.map_err(internal)?;
        let accepted =
            self.intake.accept(&draft.intake(), |seq| draft.push(Some(seq), audience.clone(), population)).await;
        let task_id = match accepted {
            Ok(accepted) => self.started(draft, accepted).await,
            Err(Refusal::Quota(refusal)) => return Err(over_quota(refusal)),
            Err(Refusal::Store(failure)) => return Err(internal(failure)),
        };
        Ok(push::accepted(&task_id, &[]))
    }

    /// A push to named users is bound by its calls a second and not by the app's quota, and needs no number.
    async fn to_named(&self, draft: &Draft<'_>, accounts: &Accounts) -> Result<Reply, Error> {
        let app = &draft.app.id;
        let users = self.users.get(app, &accounts.ids).await.map_err(internal)?;
        let refused = accounts.refusals(&users);
        if users.is_empty() {
            return Ok(push::for_no_one(&refused));
        }
        let mut named: Vec<_> = users.values().map(|user| user.ordinal).collect();
        named.sort_unstable();
        // Nobody beyond the last of them is meant, so it need not be asked how many there are.
        let population = named.last().map_or(0, |last| last.0.saturating_add(1));
        let push = draft.push(None, Audience::Users(named), population);
        let accepted = self.intake.accept_unnumbered(&draft.intake(), push).await.map_err(internal)?;
        Ok(push::accepted(&self.started(draft, accepted).await, &refused))
    }

    /// Starts what is accepted; returns the id that the caller is told. A repeat starts it again, for it may come because the
    /// first time ended before it had: the fan-out knows what it has begun, and leaves it at that.
    async fn started(&self, draft: &Draft<'_>, accepted: Accepted) -> String {
        match accepted {
            Accepted::New(push) => {
                self.start(draft.app, push.id, Duration::ZERO).await;
                push.task_id
            }
            Accepted::Repeat { push: id, task_id } => {
                self.start(draft.app, id, FIRST_GOES_FIRST).await;
                info!(app.id = %draft.app.id, push.id = %id, "Answered a repeat of push `{id}` as the first time");
                task_id
            }
        }
    }

    /// Enqueues the fan-out. Accepted is accepted: if this fails, the push is due in a minute and started then.
    async fn start(&self, app: &App, id: PushId, delay: Duration) {
        match self.queues.fan_out(&[FanOutTask::Spread { push: id }], delay).await {
            Ok(()) => info!(app.id = %app.id, push.id = %id, "Accepted push `{id}`"),
            Err(failure) => warn!(
                app.id = %app.id, push.id = %id, error = chain(&failure), "Accepted push `{id}`, whose fan-out starts late"
            ),
        }
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
    fn intake(&self) -> Intake<'_> {
        Intake {
            app: &self.app.id,
            quotas: &self.app.quotas,
            dedup_key: &self.dedup_key,
            fingerprint: self.wanted.fingerprint(),
            now: self.now,
        }
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

fn over_quota(refusal: QuotaError) -> Error {
    let code = match refusal {
        QuotaError::TooSoon(_) => Code::PushTooSoon,
        QuotaError::UsedUp(_) => Code::PushQuota,
    };
    Error::new(code, refusal.to_string())
}
