//! `im_push`: a push to all users of an app, or to those that a condition names.

use std::time::Duration;

use fanfare::dialect::tencent::caller::Caller;
use fanfare::dialect::tencent::{Code, Criteria, Error, PushRequest, Reply, push, task_id};
use fanfare::domain::{App, Audience, Message, Push, PushId, QuotaError, Seq, Timestamp};
use fanfare::queue::FanOutTask;
use fanfare::store::{Accepted, Intake, Refusal};
use tracing::{info, warn};

use crate::{PushIntake, internal};

impl PushIntake {
    /// Accepts a push of `app`. Checks in the order of the dialect, and changes nothing before all have passed.
    pub(crate) async fn im_push(&self, app: &App, caller: &Caller, body: &[u8]) -> Result<Reply, Error> {
        let now = self.clock.now();
        let wanted = PushRequest::parse(body, app)?;
        let audience = self.audience(app, &wanted).await?;
        let population = self.users.population(&app.id).await.map_err(internal)?;

        let draft = Draft { app, caller, wanted: &wanted, audience, population, now };
        let id = PushId::generate();
        let intake = Intake {
            app: &app.id,
            quotas: &app.quotas,
            dedup_key: &format!("tencent#{}#{}", caller.identifier, wanted.random),
            fingerprint: wanted.fingerprint(),
            now,
        };
        match self.intake.accept(&intake, |seq| draft.push(id, seq)).await {
            Ok(Accepted::New(accepted)) => {
                self.start(&accepted).await;
                Ok(push::accepted(&accepted.task_id))
            }
            Ok(Accepted::Repeat { push: id, task_id }) => {
                info!(app.id = %app.id, push.id = %id, "Answered a repeat of push `{id}` as the first time");
                Ok(push::accepted(&task_id))
            }
            Err(Refusal::Quota(refusal)) => Err(over_quota(refusal)),
            Err(Refusal::Store(failure)) => Err(internal(failure)),
        }
    }

    async fn audience(&self, app: &App, wanted: &PushRequest) -> Result<Audience, Error> {
        let names = match &wanted.condition {
            Some(Criteria::Attributes { .. }) => self.users.attribute_names(&app.id).await.map_err(internal)?,
            _ => Default::default(),
        };
        wanted.audience(&names)
    }

    /// Enqueues the fan-out. Accepted is accepted: if this fails, the push is due in a minute and started then.
    async fn start(&self, push: &Push) {
        let task = FanOutTask::Spread { push: push.id };
        match self.queues.fan_out(&[task], Duration::ZERO).await {
            Ok(()) => info!(app.id = %push.app, push.id = %push.id, "Accepted push `{}`", push.id),
            Err(failure) => warn!(
                app.id = %push.app, push.id = %push.id, error = %failure,
                "Accepted push `{}`, whose fan-out starts late", push.id
            ),
        }
    }
}

/// A push but for its number, which it gets when it is accepted.
struct Draft<'a> {
    app: &'a App,
    caller: &'a Caller,
    wanted: &'a PushRequest,
    audience: Audience,
    population: u32,
    now: Timestamp,
}

impl Draft<'_> {
    fn push(&self, id: PushId, seq: Seq) -> Push {
        let sdk_app_id = self.app.tencent.as_ref().map_or(0, |tencent| tencent.sdk_app_id);
        Push {
            id,
            app: self.app.id.clone(),
            seq: Some(seq),
            accepted_at: self.now,
            audience: self.audience.clone(),
            population: self.population,
            message: Some(Message {
                sender: self.wanted.sender.as_ref().unwrap_or(&self.caller.identifier).clone(),
                body: self.wanted.body.clone(),
                kept: self.wanted.lifetime_secs > 0,
            }),
            notification: self.wanted.notification.clone(),
            lifetime_secs: self.wanted.lifetime_secs,
            task_id: task_id::task_id(sdk_app_id, id),
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
