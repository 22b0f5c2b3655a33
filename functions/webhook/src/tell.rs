//! One call: when it may be made, and what follows from how it went.

use std::time::Duration;

use fanfare::dialect::tencent::webhook::{is_heard, parameters};
use fanfare::domain::{App, Timestamp, WebhookEvent, limits};
use fanfare::queue::{Failure, News, WebhookTask};
use fanfare::store::Rest;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::WebhookFunction;
use crate::client::CallError;
use crate::pace::Admission;
use crate::receiver::{Receiver, host_of};

/// Calls that may fail before the message is left to its queue, which then has it tried a few times more and moves it
/// to the dead letters.
const ATTEMPTS: u8 = 6;
/// Wait after the first failed call, in seconds; each later one is followed by four times as long.
const FIRST_RETRY_SECS: u64 = 2;
/// How old news may become that wait for a server that is let alone, in milliseconds: a day.
const PATIENCE_MILLIS: i64 = 86_400_000;

/// Why a message is left to its queue.
#[derive(Debug, thiserror::Error)]
enum GivenUp {
    #[error("the webhook was called in vain too often")]
    TooOften(#[source] CallError),
    #[error("the webhook fails, and this was tried too often or is too old")]
    Resting,
}

impl WebhookFunction {
    /// Tells an app's server some news, now or later.
    pub(crate) async fn tell(&self, task: WebhookTask) -> Result<(), Failure> {
        let app = self.apps.get(&task.app).await.map_err(Failure::of)?;
        let wanted = app.as_deref().filter(|app| app.wants(event(&task.news)));
        let Some((app, webhook)) = wanted.and_then(|app| Some((app, app.webhook.as_ref()?))) else {
            debug!(app.id = %task.app, "The app does not want to hear of it any more");
            return Ok(());
        };
        let Some(tencent) = &app.tencent else {
            warn!(app.id = %app.id, "The app has a webhook and no identity in the contract whose webhooks these are");
            return Ok(());
        };
        let receiver = match Receiver::of(webhook) {
            Ok(receiver) => receiver,
            Err(refusal) => {
                refuse(app, host_of(&webhook.url).as_deref(), &refusal);
                return Ok(());
            }
        };
        let rest = self.rests.get(&app.id).await.map_err(Failure::of)?;
        if let Some(wait) = rest.left(self.clock.now()) {
            return self.put_back(task, wait).await;
        }
        let wait = match self.admit(app, webhook, task.window).await? {
            Admission::After(wait) => wait,
            Admission::Later { window, delay } => {
                let later = WebhookTask { window: Some(window), ..task };
                return self.webhooks.enqueue(&[later], delay).await.map_err(Failure::of);
            }
        };
        let turn = Instant::now() + wait;
        let Some(telling) = self.compose(&app.id, &task.news).await? else {
            debug!(app.id = %app.id, "There is nothing left to tell of");
            return Ok(());
        };
        tokio::time::sleep_until(turn).await;
        let parameters = parameters(tencent, &telling, webhook.token.as_ref(), self.clock.now());
        let begun = Instant::now();
        let result = self.client.call(&receiver, &parameters, telling.body, is_heard).await;
        self.slowness.note(&app.id, begun.elapsed());
        match result {
            Ok(()) => {
                info!(app.id = %app.id, command = telling.command, "Told the webhook of `{}`", app.id);
                self.end_rest(app, &rest).await;
                Ok(())
            }
            Err(error @ (CallError::NotPublic | CallError::Url(_))) => {
                refuse(app, Some(receiver.host()), &error);
                Ok(())
            }
            Err(error) => {
                let attempt = task.attempt;
                warn!(
                    app.id = %app.id, host = receiver.host(), attempt, error = %error,
                    "The webhook of `{}` was called in vain", app.id
                );
                self.begin_rest(app, &rest).await;
                self.try_again(task, error).await
            }
        }
    }

    /// Puts a task back that came while its server is let alone. That is no attempt.
    async fn put_back(&self, task: WebhookTask, wait: Duration) -> Result<(), Failure> {
        if is_last(&task) || is_old(&task, self.clock.now()) {
            return Err(Failure::of(GivenUp::Resting));
        }
        // Not all at the moment when the rest is over.
        let spread = Duration::from_millis(fastrand::u64(0..=1_000 + wait.as_millis() as u64 / 4));
        let back = WebhookTask { window: None, ..task };
        self.webhooks.enqueue(&[back], whole_secs(wait + spread)).await.map_err(Failure::of)
    }

    async fn try_again(&self, task: WebhookTask, error: CallError) -> Result<(), Failure> {
        if is_last(&task) {
            return Err(Failure::of(GivenUp::TooOften(error)));
        }
        let again = WebhookTask { attempt: task.attempt + 1, window: None, ..task };
        self.webhooks.enqueue(&[again], retry_delay(task.attempt)).await.map_err(Failure::of)
    }

    /// Whether it began or not changes nothing for this call: the next failure tries again.
    async fn begin_rest(&self, app: &App, rest: &Rest) {
        if let Err(error) = self.rests.begin(&app.id, rest, self.clock.now()).await {
            warn!(app.id = %app.id, error = %error, "A webhook that fails could not be let alone");
        }
    }

    /// One that could not be ended is over all the same.
    async fn end_rest(&self, app: &App, rest: &Rest) {
        if let Err(error) = self.rests.end(&app.id, rest).await {
            warn!(app.id = %app.id, error = %error, "A webhook that answers again could not be noted as such");
        }
    }
}

/// News that go nowhere are dropped: they would wait for a person who may never come, and the address is refused for
/// all news to come as well. An error, for the alarm that counts them. Of the URL only the host is told.
fn refuse(app: &App, host: Option<&str>, reason: &dyn std::error::Error) {
    error!(app.id = %app.id, host, reason = %reason, "The webhook of `{}` is refused: dropped what it was to hear", app.id);
}

fn event(news: &News) -> WebhookEvent {
    match news {
        News::Sent { .. } | News::Reached { .. } => WebhookEvent::Push,
        News::State(_) => WebhookEvent::State,
    }
}

fn is_last(task: &WebhookTask) -> bool {
    task.attempt + 1 >= ATTEMPTS
}

fn is_old(task: &WebhookTask, now: Timestamp) -> bool {
    now.millis_since(task.news.at()) > PATIENCE_MILLIS
}

fn retry_delay(attempt: u8) -> Duration {
    let secs = FIRST_RETRY_SECS.saturating_mul(1 << (2 * u32::from(attempt).min(10)));
    Duration::from_secs(secs.min(limits::QUEUE_DELAY_SECS as u64))
}

/// Queues delay by whole seconds: rounded up, so that it does not come too early.
fn whole_secs(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_millis().div_ceil(1_000) as u64)
}

#[cfg(test)]
mod tests {
    use fanfare::domain::{AppId, SocketChange, StateChange, UserId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn task(attempt: u8) -> WebhookTask {
        let user = UserId::try_from("anne").unwrap();
        let change = StateChange { user, change: SocketChange::Connected, at: NOW, platform: None, ip: None };
        WebhookTask { app: AppId::try_from("app").unwrap(), news: News::State(change), attempt, window: None }
    }

    #[test]
    fn failed_calls_are_made_again_after_longer_each_time_and_six_times_in_all() {
        let waits: Vec<u64> = (0..ATTEMPTS).map(|attempt| retry_delay(attempt).as_secs()).collect();
        assert_eq!(waits, [2, 8, 32, 128, 512, 900]);
        let last: Vec<bool> = (0..ATTEMPTS).map(|attempt| is_last(&task(attempt))).collect();
        assert_eq!(last, [false, false, false, false, false, true]);
    }

    #[test]
    fn news_are_old_after_a_day() {
        assert!(!is_old(&task(0), NOW.plus_secs(86_400)));
        assert!(is_old(&task(0), NOW.plus_secs(86_401)));
    }

    #[test]
    fn a_wait_is_never_cut_short() {
        assert_eq!(whole_secs(Duration::from_millis(1_001)), Duration::from_secs(2));
        assert_eq!(whole_secs(Duration::from_secs(2)), Duration::from_secs(2));
    }
}
