//! News become calls: places become users, ids become what the caller of the push knows.

use fanfare::dialect::tencent::webhook::{self, PushEvent, Stage, Telling};
use fanfare::domain::{AppId, Channel, ShardSet};
use fanfare::queue::{Failure, News};

use crate::WebhookFunction;

impl WebhookFunction {
    /// The call that tells the news, or `None` if there is no one and nothing left to tell of.
    pub(crate) async fn compose(&self, app: &AppId, news: &News) -> Result<Option<Telling>, Failure> {
        match news {
            News::State(change) => Ok(Some(webhook::state(change))),
            News::Sent { push, shard, channel, at, ended } => {
                let Some(push) = self.pushes.get(*push).await.map_err(Failure::of)? else { return Ok(None) };
                let places: ShardSet = ended.values().flatten().copied().collect();
                let users = self.contacts.names(app, *shard, &places).await.map_err(Failure::of)?;
                let events: Vec<PushEvent<'_>> = ended
                    .iter()
                    .flat_map(|(class, places)| places.iter().map(move |place| (*class, place)))
                    .filter_map(|(class, place)| {
                        let user = users.get(place)?;
                        Some(PushEvent { push: &push, user, channel: *channel, at: *at, stage: Stage::Sent(class) })
                    })
                    .collect();
                Ok(telling(&events))
            }
            News::Reached { user, pushes, at } => {
                let known = self.pushes.get_all(pushes).await.map_err(Failure::of)?;
                let event = |push| PushEvent { push, user, channel: Channel::Ws, at: *at, stage: Stage::Reached };
                let events: Vec<PushEvent<'_>> =
                    pushes.iter().filter_map(|push| known.get(push)).map(|push| event(push)).collect();
                Ok(telling(&events))
            }
        }
    }
}

fn telling(events: &[PushEvent<'_>]) -> Option<Telling> {
    (!events.is_empty()).then(|| webhook::pushes(events))
}
