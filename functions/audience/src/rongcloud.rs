//! The calls of RongCloud's contract about users: decoded, done with one verb, answered.
//!
//! Its users are those of the app's backend, which need not have been seen here: whoever is given tags, a token or quiet
//! hours is there afterwards. Questions about those who are not find nothing.

use std::time::Duration;

use fanfare::dialect::rongcloud::signature::unknown_app;
use fanfare::dialect::rongcloud::{Call, Code, Command, Error, QuietRequest, Reply, TagsRequest, TokenRequest};
use fanfare::dialect::rongcloud::{quiet, tags, token};
use fanfare::domain::{App, AppId, Edit, EditError, Timestamp, User, UserId};
use fanfare::gate::Refused;
use fanfare::runtime::http::Request;
use fanfare::store::StoreError;

use crate::Audience;
use crate::trouble;

impl Audience {
    pub(crate) async fn rongcloud(&self, command: &'static Command, request: &Request) -> Reply {
        let error = match self.answer(command, request).await {
            Ok(reply) => return reply,
            Err(Refused::Told(error)) => error,
            Err(Refused::Store(failure)) => {
                trouble::log(&failure);
                Error::internal()
            }
        };
        Reply::failed(&request.path, &error)
    }

    async fn answer(&self, command: &'static Command, request: &Request) -> Result<Reply, Refused<Error>> {
        let call = self.gate.signed(command, request).await?;
        self.gate.counted(&call, Box::pin(self.done(&call.app, command.call, &request.body))).await
    }

    async fn done(&self, tenant: &App, call: Call, body: &[u8]) -> Result<Reply, Refused<Error>> {
        let app = &tenant.id;
        match call {
            Call::SetTags => self.set_tags(tenant, TagsRequest::set(body)?).await,
            Call::BatchSetTags => self.set_tags(tenant, TagsRequest::batch_set(body)?).await,
            Call::GetTags => {
                let ids = tags::get(body)?;
                let mut users = self.users.get(app, &ids).await?;
                let tags_of = |id: UserId| {
                    let tags = users.remove(&id).map(|user| user.tags).unwrap_or_default();
                    (id, tags)
                };
                Ok(tags::found(ids.into_iter().map(tags_of)))
            }
            Call::GetToken => self.grant_token(tenant, &TokenRequest::parse(body)?).await,
            Call::SetQuietHours => self.set_quiet_hours(tenant, QuietRequest::set(body)?).await,
            Call::GetQuietHours => {
                let hours = match self.known(app, &quiet::whose(body)?).await? {
                    Some(user) => self.quiet.get(app, user.ordinal).await?,
                    None => None,
                };
                Ok(quiet::found(hours))
            }
            Call::DeleteQuietHours => {
                if let Some(user) = self.known(app, &quiet::whose(body)?).await? {
                    self.quiet.delete(app, user.ordinal).await?;
                }
                Ok(Reply::ok())
            }
            // Left to the function that takes pushes: no route leads here.
            Call::Push
            | Call::PushUser
            | Call::PushCustom
            | Call::Broadcast
            | Call::OnlineBroadcast
            | Call::RecallBroadcast => Err(Error::new(Code::NotFound, "this is not called here").into()),
        }
    }

    async fn set_tags(&self, app: &App, request: TagsRequest) -> Result<Reply, Refused<Error>> {
        let edits: Vec<(UserId, Edit)> = request.users.into_iter().map(|user| (user, request.edit.clone())).collect();
        let refused = self.users.edit_or_create(&app.id, &edits, &self.admission(app)).await?;
        match refused.into_iter().next() {
            None => Ok(Reply::ok()),
            Some((user, EditError::UnknownUser)) => Err(barred(&user).into()),
            // Not by this contract, which gives a user fewer tags than it may have, and in place of all others.
            Some((user, error @ EditError::TooManyTags)) => {
                Err(Error::new(Code::Parameter, format!("{user} was not tagged: {error}")).into())
            }
        }
    }

    async fn grant_token(&self, app: &App, request: &TokenRequest) -> Result<Reply, Refused<Error>> {
        let user = (request.user.clone(), request.profile.clone());
        if !self.users.import(&app.id, &[user], &self.admission(app)).await?.is_empty() {
            return Err(barred(&request.user).into());
        }
        // Who was kicked in this second is let in again by a token that says it was made in the next. It is handed out no
        // sooner, or a verdict that comes before then would not make it void.
        let standing = self.standing.get(&app.id, &request.user).await?;
        let now = self.clock.now();
        let issued_at = standing.first_valid(now);
        tokio::time::sleep(wait(issued_at, now)).await;
        let rongcloud = app.rongcloud.as_ref().ok_or_else(unknown_app)?;
        Ok(request.granted(&token::sign(rongcloud, &request.user, issued_at)))
    }

    async fn set_quiet_hours(&self, app: &App, request: QuietRequest) -> Result<Reply, Refused<Error>> {
        let user = self.users.ensure(&app.id, &request.user, &self.admission(app)).await?;
        let user = user.map_err(|_| barred(&request.user))?;
        match request.hours {
            Some(hours) => self.quiet.set(&app.id, &user, hours).await?,
            None => self.quiet.delete(&app.id, user.ordinal).await?,
        }
        Ok(Reply::ok())
    }

    async fn known(&self, app: &AppId, id: &UserId) -> Result<Option<User>, StoreError> {
        Ok(self.users.get(app, std::slice::from_ref(id)).await?.remove(id))
    }
}

/// How long a token waits until it is good: to the end of a second, and no more than a second longer for clocks that differ.
fn wait(issued_at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(issued_at.millis_since(now).clamp(0, 2_000).unsigned_abs())
}

/// The answer about a user who was deleted, where the app's settings have those stay away for some days.
fn barred(user: &UserId) -> Error {
    Error::new(Code::Parameter, format!("the user {user} was deleted, and may not come back yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_waits_to_the_end_of_the_second_of_a_verdict_and_not_for_a_clock_that_is_far_ahead() {
        let now = Timestamp::from_millis(1_700_000_000_400);
        for (issued_at, millis) in [(now, 0), (now.plus_millis(600), 600), (now.plus_secs(60), 2_000)] {
            assert_eq!(wait(issued_at, now), Duration::from_millis(millis));
        }
    }
}
