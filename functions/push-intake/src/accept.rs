//! What every push goes through, whichever contract it came by.

use std::collections::HashMap;
use std::time::Duration;

use fanfare::channel::{self, TooLarge};
use fanfare::domain::{App, Ordinal, Push, PushId, Seq, User, UserId};
use fanfare::queue::FanOutTask;
use fanfare::runtime::telemetry::chain;
use fanfare::store::{Accepted, Intake, Refusal, StoreError};
use tracing::{info, warn};

use crate::PushIntake;

/// How long what a repeat starts waits for what the first time may have started: side by side they would do the same
/// work, and the one wait for the leases of the other.
const FIRST_GOES_FIRST: Duration = Duration::from_secs(5);

/// What a caller is told of a push.
pub(crate) struct Told {
    /// The push.
    pub push: PushId,
    /// The id under which the caller knows it.
    pub task_id: String,
}

/// Why a push is not accepted.
pub(crate) enum NotAccepted {
    /// A vendor that the app is with does not take it.
    TooLarge(TooLarge),
    /// The quota, or a failure of the store.
    Refused(Refusal),
}

impl From<Refusal> for NotAccepted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl PushIntake {
    /// Accepts a push and starts it, if all vendors take it that it may go to. A repeat starts it again, for it may come because the first time ended before it had:
    /// the fan-out knows what it has begun, and leaves it at that. What was accepted before is accepted again, even where the
    /// app is with another vendor by now.
    pub(crate) async fn accept(
        &self,
        app: &App,
        intake: &Intake<'_>,
        push: impl Fn(Option<Seq>) -> Push,
    ) -> Result<Told, NotAccepted> {
        if let Err(too_large) = channel::check(app, &push(None)) {
            let told = self.answer_repeat(intake).await.map_err(Refusal::from)?;
            return told.ok_or(NotAccepted::TooLarge(too_large));
        }
        let accepted = self.intake.accept(intake, push).await?;
        Ok(self.start(intake, accepted).await)
    }

    /// Answers a request that is a repeat, as above, before it is looked at any further. `None` if it is none.
    pub(crate) async fn answer_repeat(&self, intake: &Intake<'_>) -> Result<Option<Told>, StoreError> {
        match self.intake.repeat(intake).await? {
            Some(accepted) => Ok(Some(self.start(intake, accepted).await)),
            None => Ok(None),
        }
    }

    async fn start(&self, intake: &Intake<'_>, accepted: Accepted) -> Told {
        let (told, delay) = match accepted {
            Accepted::New(push) => (Told { push: push.id, task_id: push.task_id }, Duration::ZERO),
            Accepted::Repeat { push, task_id } => {
                info!(app.id = %intake.app, push.id = %push, "Answered a repeat of push `{push}` as the first time");
                (Told { push, task_id }, FIRST_GOES_FIRST)
            }
        };
        self.enqueue(intake, told.push, delay).await;
        told
    }

    /// Enqueues the fan-out. Accepted is accepted: if this fails, the push is due in a minute and started then.
    async fn enqueue(&self, intake: &Intake<'_>, id: PushId, delay: Duration) {
        match self.queues.fan_out(&[FanOutTask::Spread { push: id }], delay).await {
            Ok(()) => info!(app.id = %intake.app, push.id = %id, "Accepted push `{id}`"),
            Err(failure) => warn!(
                app.id = %intake.app, push.id = %id, error = chain(&failure),
                "Accepted push `{id}`, whose fan-out starts late"
            ),
        }
    }
}

/// Users by their ordinals, in order, and the population of a push to them: nobody beyond the last of them is meant, so it
/// need not be asked how many there are.
pub(crate) fn ordinals(users: &HashMap<UserId, User>) -> (Vec<Ordinal>, u32) {
    let mut named: Vec<_> = users.values().map(|user| user.ordinal).collect();
    named.sort_unstable();
    let population = named.last().map_or(0, |last| last.0.saturating_add(1));
    (named, population)
}
