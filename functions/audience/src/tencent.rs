//! The calls of Tencent's contract: decoded, done with one verb, answered.

use fanfare::channel::ws::CloseError;
use fanfare::dialect::tencent::{Call, Code, Command, Error, Reply, accounts, audience, online};
use fanfare::domain::{App, UserId};
use fanfare::gate::Refused;
use fanfare::runtime::http::Request;
use fanfare::store::{Admission, StoreError};

use crate::Audience;
use crate::trouble;

/// Why a call was not done: the caller erred, or something failed here.
pub(crate) enum Problem {
    Said(Error),
    Store(StoreError),
    Socket(CloseError),
}

impl Audience {
    pub(crate) async fn tencent(&self, command: &Command, request: &Request) -> Reply {
        self.call(command, request).await.unwrap_or_else(|problem| {
            match problem {
                Problem::Said(error) => return error.into(),
                Problem::Store(failure) => trouble::log(&failure),
                Problem::Socket(failure) => trouble::log(&failure),
            }
            Error::new(command.call.internal(), "internal error: try again").into()
        })
    }

    async fn call(&self, command: &Command, request: &Request) -> Result<Reply, Problem> {
        let (tenant, _) = self.gate.server(command, request).await?;
        let (app, body) = (&tenant.id, request.body.as_slice());
        Ok(match command.call {
            Call::AccountImport => {
                let user = accounts::import(body)?;
                let barred = self.users.import(app, &[user], &self.admission(&tenant)).await?;
                if barred.is_empty() { Reply::ok() } else { accounts::barred().into() }
            }
            Call::MultiaccountImport => {
                let import = accounts::import_many(body)?;
                let barred = self.users.import(app, &import.users, &self.admission(&tenant)).await?;
                let barred: Vec<UserId> = barred.into_iter().map(|(user, _)| user).collect();
                import.answer(&barred)
            }
            Call::AccountCheck => {
                let check = accounts::check(body)?;
                let users = self.users.get(app, &check.ids()).await?;
                check.answer(&users)
            }
            Call::SetAttrName | Call::SetTypedAttrName => {
                let names = match command.call {
                    Call::SetAttrName => audience::set_attribute_names(body)?,
                    _ => audience::set_typed_attribute_names(body)?,
                };
                audience::attribute_names_set(self.users.name_attributes(app, names).await?)
            }
            Call::GetAttrName => {
                audience::get_attribute_names(body)?;
                audience::attribute_names(&self.users.attribute_names(app).await?)
            }
            Call::SetAttr => {
                let names = self.users.attribute_names(app).await?;
                let edits = audience::set_attributes(body, &names)?;
                let refused = self.users.edit(app, &edits.edits).await?;
                edits.answer(refused)
            }
            Call::RemoveAttr => {
                let names = self.users.attribute_names(app).await?;
                let edits = audience::remove_attributes(body, &names)?;
                let refused = self.users.edit(app, &edits.edits).await?;
                edits.answer(refused)
            }
            Call::AddTag | Call::AddOrReplaceTag => {
                let edits = match command.call {
                    Call::AddTag => audience::add_tags(body)?,
                    _ => audience::add_or_replace_tags(body)?,
                };
                let refused = self.users.edit(app, &edits.edits).await?;
                edits.answer(refused)
            }
            Call::RemoveTag => {
                let edits = audience::remove_tags(body)?;
                let refused = self.users.edit(app, &edits.edits).await?;
                edits.answer(refused)
            }
            Call::ClearTags => {
                let edits = audience::remove_all_tags(body)?;
                let refused = self.users.edit(app, &edits.edits).await?;
                edits.answer(refused)
            }
            Call::GetAttr => {
                let asked = audience::accounts(body)?;
                let names = self.users.attribute_names(app).await?;
                let users = self.users.get(app, &asked.ids).await?;
                asked.attributes(&users, &names)
            }
            Call::GetTag => {
                let asked = audience::accounts(body)?;
                let users = self.users.get(app, &asked.ids).await?;
                asked.tags(&users)
            }
            Call::AccountDelete => {
                let is_allowed = tenant.tencent.as_ref().is_some_and(|tencent| tencent.deletion_enabled);
                let deletion = accounts::delete(body, is_allowed)?;
                let deleted = self.delete_accounts(&tenant, &deletion.ids()).await?;
                deletion.answer(&deleted)
            }
            Call::Kick => {
                self.kick(&tenant, &accounts::kick(body)?).await?;
                Reply::ok()
            }
            Call::QueryOnlineStatus | Call::QueryState => {
                let question = online::question(body)?;
                let presences = self.presences(&tenant, &question.ids()).await?;
                question.answer(&presences)
            }
            // Left to the function that takes pushes: no route leads here.
            Call::ImPush | Call::Push | Call::Batch => {
                return Err(Error::new(Code::UnknownResource, "this is not called here").into());
            }
        })
    }

    /// When an account that was deleted may come back, as the app has it.
    pub(crate) fn admission(&self, app: &App) -> Admission {
        Admission::after_days(app.reimport_after_days(), self.clock.now())
    }
}

impl From<Refused<Error>> for Problem {
    fn from(refused: Refused<Error>) -> Self {
        match refused {
            Refused::Told(error) => Self::Said(error),
            Refused::Store(failure) => Self::Store(failure),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<CloseError> for Problem {
    fn from(failure: CloseError) -> Self {
        Self::Socket(failure)
    }
}

impl From<StoreError> for Problem {
    fn from(failure: StoreError) -> Self {
        Self::Store(failure)
    }
}
