//! What came of a push, told to the backend of its app.

use std::sync::Arc;

use fanfare::dialect::tencent::task_id::push_id_of;
use fanfare::domain::{App, Push, PushId, Tally};
use fanfare::runtime::http::Request;
use fanfare::store::{Account, Progress, PushAccount, Stopped};
use fanfare_audience::{Trouble, json_response};
use http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::PushIntake;

/// What `quotas.calls_per_second` of an app know the call by.
const COMMAND: &str = "v1/pushes";
/// How often an app may call it in a second, unless it is said there: each reads all that a push has written.
const CALLS_PER_SECOND: u32 = 20;

impl PushIntake {
    /// Answers with the account of a push, by an id that either contract has answered.
    pub(crate) async fn account(&self, id: &str, request: &Request) -> Response<String> {
        let told = if request.method == Method::GET {
            self.told_account(id, request).await
        } else {
            Err(Trouble::WrongMethod { allowed: "GET" })
        };
        match told {
            Ok(account) => json_response(StatusCode::OK, &account),
            Err(trouble) => trouble.into_http(),
        }
    }

    async fn told_account(&self, id: &str, request: &Request) -> Result<Value, Trouble> {
        let app = self.gate.backend(request, COMMAND, CALLS_PER_SECOND).await?;
        let push = self.push_of(&app, id).await?.ok_or(Trouble::NoSuchPush)?;
        let account = self.accounts.of(&push, self.clock.now()).await?;
        Ok(answer(&push, &account))
    }

    /// The app's push that is known by an id. Of another app's nothing is said, not even that it is there.
    async fn push_of(&self, app: &App, id: &str) -> Result<Option<Arc<Push>>, Trouble> {
        let named = push_id_of(id).map(|(_, push)| push).or_else(|| PushId::try_from(id.to_owned()).ok());
        let Some(named) = named else { return Ok(None) };
        let push = self.pushes.get(named).await?;
        Ok(push.filter(|push| push.app == app.id && (push.task_id == id || push.id.to_string() == id)))
    }
}

fn answer(push: &Push, account: &PushAccount) -> Value {
    let (mut targeted, mut pending, mut settled) = (0, 0, Tally::default());
    for channel in account.channels.values() {
        targeted += channel.targeted;
        pending += channel.pending;
        settled += channel.settled;
    }
    let channels: Map<String, Value> =
        account.channels.iter().map(|(channel, account)| (channel.name().to_owned(), of_channel(account))).collect();
    json!({
        "push_id": push.id.to_string(),
        "task_id": push.task_id,
        "accepted_at": push.accepted_at.millis(),
        "expires_at": push.deadline().millis(),
        "state": match account.progress {
            Progress::Accepted => "accepted",
            Progress::Sending => "sending",
            Progress::Done => "done",
        },
        "total": counts(targeted, settled, pending),
        "channels": channels,
    })
}

fn of_channel(account: &Account) -> Value {
    let Account { targeted, settled, pending, complaints, stopped } = account;
    let mut told = counts(*targeted, *settled, *pending);
    if !complaints.is_empty() {
        told["complaints"] = json!(complaints);
    }
    if let Some(Stopped { why, since, until }) = stopped {
        told["stopped"] = json!({"why": why, "since": since.millis(), "until": until.millis()});
    }
    told
}

fn counts(targeted: u32, Tally { delivered, failed, invalid, suppressed, expired }: Tally, pending: u32) -> Value {
    json!({"targeted": targeted, "delivered": delivered, "failed": failed, "invalid": invalid,
        "suppressed": suppressed, "expired": expired, "pending": pending})
}
