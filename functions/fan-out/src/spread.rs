//! A push becomes a task for each shard.

use std::time::Duration;

use fanfare::domain::PushId;
use fanfare::queue::{Failure, FanOutTask};
use tracing::{info, warn};

use crate::FanOut;

impl FanOut {
    /// Enqueues a task for each shard in which the push may be for someone. Once all are enqueued the push is
    /// due no more; should this process die before, it comes again, and so do the same tasks.
    pub(crate) async fn spread(&self, id: PushId) -> Result<(), Failure> {
        let Some(push) = self.pushes.get(id).await.map_err(Failure::of)? else {
            warn!(push.id = %id, "Nothing to spread: push `{id}` is not there any more");
            return Ok(());
        };
        // Enqueued twice, by a queue or by `campaign` while this queue was behind: the other time did it all.
        if !self.due.is_due(&push).await.map_err(Failure::of)? {
            info!(push.id = %id, app.id = %push.app, "Push `{id}` has been spread before");
            return Ok(());
        }
        let tasks: Vec<FanOutTask> =
            push.shards().into_iter().map(|shard| FanOutTask::Shard { push: id, shard, resume: None }).collect();
        self.queues.fan_out(&tasks, Duration::ZERO).await.map_err(Failure::of)?;
        self.due.settle(&push).await.map_err(Failure::of)?;
        info!(push.id = %id, app.id = %push.app, shards = tasks.len(), "Spread push `{id}` over {} shards", tasks.len());
        Ok(())
    }
}
