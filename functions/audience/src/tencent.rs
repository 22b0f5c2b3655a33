//! The calls of Tencent's contract: decoded, done with one verb, answered.

use fanfare::dialect::tencent::{Call, Code, Command, Error, Reply, accounts, audience};
use fanfare::gate::Refused;
use fanfare::runtime::http::Request;
use fanfare::store::StoreError;

use crate::Audience;
use crate::trouble;

/// Why a call was not done: the caller erred, or the store failed.
enum Problem {
    Said(Error),
    Store(StoreError),
}

impl Audience {
    pub(crate) async fn tencent(&self, command: &Command, request: &Request) -> Reply {
        self.call(command, request).await.unwrap_or_else(|problem| match problem {
            Problem::Said(error) => error.into(),
            Problem::Store(failure) => {
                trouble::log(&failure);
                Error::new(command.call.internal(), "internal error: try again").into()
            }
        })
    }

    async fn call(&self, command: &Command, request: &Request) -> Result<Reply, Problem> {
        let (app, _) = self.gate.server(command, request).await?;
        let (app, body) = (&app.id, request.body.as_slice());
        Ok(match command.call {
            Call::AccountImport => {
                let user = accounts::import(body)?;
                self.users.import(app, &[user]).await?;
                Reply::ok()
            }
            Call::MultiaccountImport => {
                let import = accounts::import_many(body)?;
                self.users.import(app, &import.users).await?;
                import.answer()
            }
            Call::AccountCheck => {
                let check = accounts::check(body)?;
                let users = self.users.get(app, &check.ids()).await?;
                check.answer(&users)
            }
            Call::SetAttrName | Call::SetTypedAttrName => {
                let names = audience::set_attribute_names(body)?;
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
                let edits = audience::add_tags(body)?;
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
            _ => return Err(Error::new(Code::UnknownResource, "this call is not there yet").into()),
        })
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
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

impl From<StoreError> for Problem {
    fn from(failure: StoreError) -> Self {
        Self::Store(failure)
    }
}
