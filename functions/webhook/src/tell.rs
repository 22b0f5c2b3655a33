//! One call: when it may be made, and what follows from how it went.

use std::time::Duration;

use fanfare::dialect::tencent::webhook::{is_heard, parameters};
use fanfare::domain::{App, Timestamp, WebhookEvent, limits};
use fanfare::queue::{Failure, News, WebhookTask, retry_delay};
use fanfare::runtime::telemetry::chain;
use fanfare::store::{Paced, Rest, StoreError};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::WebhookFunction;
use crate::client::CallError;
use crate::pace::Admission;
use crate::receiver::{Receiver, host_of};

/// How old news may become that wait for a server that rests, in milliseconds: six hours. Each time that they come costs
/// two requests of the queue and two reads.
const PATIENCE_MILLIS: i64 = 6 * 3_600_000;
/// The longest that they wait at a time, in milliseconds: with the spread of a quarter, a queue's longest delay.
const LONGEST_WAIT_MILLIS: i64 = limits::QUEUE_DELAY_SECS * 1_000 * 4 / 5;

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
                self.refuse(app, host_of(&webhook.url).as_deref(), &refusal);
                return Ok(());
            }
        };
        let rest = self.rests.get(Some(&app.id), Paced::Webhook).await.map_err(Failure::of)?;
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
                self.refuse(app, Some(receiver.host()), &error);
                Ok(())
            }
            Err(error) => {
                let attempt = task.attempt;
                warn!(
                    app.id = %app.id, host = receiver.host(), attempt, error = chain(&error),
                    "The webhook of `{}` was called in vain", app.id
                );
                self.begin_rest(app, &rest).await;
                self.try_again(task, error).await
            }
        }
    }

    /// Puts a task back that came while its server rests. That is no attempt.
    async fn put_back(&self, task: WebhookTask, rest: Duration) -> Result<(), Failure> {
        let now = self.clock.now();
        if is_last(&task) || is_old(&task, now) {
            return Err(Failure::given_up(GivenUp::Resting));
        }
        let wait = wait_beyond(rest, now.millis_since(task.news.at()));
        // Not all at the moment when the rest is over.
        let spread = Duration::from_millis(fastrand::u64(0..=1_000)) + wait.mul_f64(fastrand::f64() / 4.0);
        let back = WebhookTask { window: None, ..task };
        self.webhooks.enqueue(&[back], whole_secs(wait + spread)).await.map_err(Failure::of)
    }

    async fn try_again(&self, task: WebhookTask, error: CallError) -> Result<(), Failure> {
        if is_last(&task) {
            return Err(Failure::given_up(GivenUp::TooOften(error)));
        }
        let again = WebhookTask { attempt: task.attempt + 1, window: None, ..task };
        self.webhooks.enqueue(&[again], retry_delay(task.attempt)).await.map_err(Failure::of)
    }

    /// Whether it began or not changes nothing for this call: the next failure tries again.
    async fn begin_rest(&self, app: &App, rest: &Rest) {
        let failed = ("the server fails", None);
        let begun = self.rests.begin(Some(&app.id), Paced::Webhook, rest, failed, self.clock.now()).await;
        if let Err(error) = begun {
            warn!(app.id = %app.id, error = chain(&error), "A webhook that fails could not be let alone");
        }
    }

    /// One that could not be ended is over all the same. What was reserved while the server failed is given back, most of it
    /// by tasks that were put back: otherwise a server that is well again would wait for their turns to pass.
    async fn end_rest(&self, app: &App, rest: &Rest) {
        let ended = async {
            if self.rests.end(Some(&app.id), Paced::Webhook, rest).await? {
                self.pace.reset(Some(&app.id), Paced::Webhook).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = ended.await {
            warn!(app.id = %app.id, error = chain(&error), "A webhook that answers again could not be noted as such");
        }
    }

    /// News that go nowhere are dropped: they would wait for a person who may never come, and the address is refused for
    /// all news to come as well. No error, for nothing of ours is wrong, and not said of each of them. Of the URL only the
    /// host is told.
    fn refuse(&self, app: &App, host: Option<&str>, reason: &dyn std::error::Error) {
        if self.refusals.is_to_be_told(&app.id, self.clock.now()) {
            let reason = chain(reason);
            warn!(app.id = %app.id, host, reason, "The webhook of `{}` is refused: dropped what it was to hear", app.id);
        }
    }
}

fn event(news: &News) -> WebhookEvent {
    match news {
        News::Sent { .. } | News::Reached { .. } => WebhookEvent::Push,
        News::State(_) => WebhookEvent::State,
    }
}

fn is_last(task: &WebhookTask) -> bool {
    task.attempt + 1 >= limits::ATTEMPTS
}

fn is_old(task: &WebhookTask, now: Timestamp) -> bool {
    now.millis_since(task.news.at()) > PATIENCE_MILLIS
}

/// How long news wait for a server that rests: until the rest is over, and longer the older they are, so that those of a
/// server that stays dead come some fifty times and not hundreds.
fn wait_beyond(rest: Duration, age_millis: i64) -> Duration {
    let for_age = (age_millis / 4).clamp(0, LONGEST_WAIT_MILLIS);
    rest.max(Duration::from_millis(for_age.unsigned_abs()))
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
    fn a_call_is_made_six_times_in_all() {
        let last: Vec<bool> = (0..6).map(|attempt| is_last(&task(attempt))).collect();
        assert_eq!(last, [false, false, false, false, false, true]);
    }

    #[test]
    fn news_are_old_after_six_hours() {
        assert!(!is_old(&task(0), NOW.plus_secs(21_600)));
        assert!(is_old(&task(0), NOW.plus_secs(21_601)));
    }

    #[test]
    fn news_wait_for_the_rest_and_longer_the_older_they_are() {
        for (rest_secs, age_secs, wait_secs) in
            [(300, 0, 300), (300, -5, 300), (2, 40, 10), (300, 1_200, 300), (300, 2_000, 500), (4, 20_000, 720)]
        {
            let wait = wait_beyond(Duration::from_secs(rest_secs), age_secs * 1_000);
            assert_eq!(wait.as_secs(), wait_secs, "a rest of {rest_secs} s, {age_secs} s old");
        }
        // With the longest spread it is what a queue delays, and no more.
        assert_eq!(LONGEST_WAIT_MILLIS + LONGEST_WAIT_MILLIS / 4, limits::QUEUE_DELAY_SECS * 1_000);
    }

    #[test]
    fn news_of_a_server_that_stays_dead_come_some_fifty_times() {
        let (mut age, mut times) = (0, 0);
        while age <= PATIENCE_MILLIS {
            let rest = Duration::from_secs(2 << times.min(8)).min(Duration::from_secs(300));
            age += wait_beyond(rest, age).as_millis() as i64;
            times += 1;
        }
        assert!((30..=50).contains(&times), "{times}");
    }

    #[test]
    fn a_wait_is_never_cut_short() {
        assert_eq!(whole_secs(Duration::from_millis(1_001)), Duration::from_secs(2));
        assert_eq!(whole_secs(Duration::from_secs(2)), Duration::from_secs(2));
    }
}
