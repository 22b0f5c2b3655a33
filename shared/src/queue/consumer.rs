//! Receiving tasks: one failure costs one message, never its batch.

use std::future::Future;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;
use tracing::{Instrument, debug, error, info_span, warn};

use crate::runtime::telemetry::chain;

/// Messages of one batch that run side by side: all of them (a batch has ten at most), so that each has the whole time
/// of the invocation.
const AT_ONCE: usize = 10;

/// Why a message stays in its queue. It comes again after its visibility timeout, and in the end goes to the
/// dead letters.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another environment is at it: nothing is wrong.
    #[error("another environment has it")]
    Held,
    /// It is another queue's task: it goes to the dead letters, for a person to see.
    #[error("the task belongs into another queue")]
    Misrouted,
    /// A stranger's server fails, and goes on failing: the task goes to the dead letters, whose alarm tells of it. Nothing
    /// of ours is wrong.
    #[error(transparent)]
    GivenUp(Box<dyn std::error::Error + Send + Sync>),
    /// Something failed on which it depends.
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Something failed.
    pub fn of(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }

    /// Someone else's server failed for the last time.
    pub fn given_up(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::GivenUp(Box::new(error))
    }
}

/// Runs the tasks of an event from a standard queue, and says which messages stay.
///
/// A message that cannot be read, or whose handler fails or panics, fails alone. (A FIFO queue would have to stop at
/// the first failure instead.)
pub async fn consume<T, F, Fut>(event: SqsEvent, handle: F) -> SqsBatchResponse
where
    T: DeserializeOwned + Send + 'static,
    F: Fn(T) -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let failed: Vec<String> = stream::iter(event.records)
        .map(|message| {
            let id = message.message_id.clone().unwrap_or_default();
            let span = info_span!("message", sqs.message_id = %id);
            // The task of its own is what a panic ends.
            let running = parse(&message).map(|task| tokio::spawn(handle(task).instrument(span.clone())));
            async move {
                let stays = match running {
                    Ok(running) => match running.await {
                        Ok(Ok(())) => false,
                        Ok(Err(Failure::Held)) => {
                            debug!("Another environment has the task: it stays in its queue");
                            true
                        }
                        Ok(Err(failure @ Failure::GivenUp(_))) => {
                            // No error: it would be one at each of its receptions, and the alarm on errors is for ours.
                            warn!(error = chain(&failure), "A task is given up and stays in its queue");
                            true
                        }
                        Ok(Err(failure)) => {
                            // An error, for the alarm that counts them: to Lambda this invocation goes well.
                            error!(error = chain(&failure), "A task failed and stays in its queue");
                            true
                        }
                        Err(_) => {
                            // Its message may quote what it choked on.
                            error!("A task panicked and stays in its queue");
                            true
                        }
                    },
                    Err(error) => {
                        // Its content is not ours to log: the place of the error is enough.
                        error!(line = error.line(), column = error.column(), "A message is no task of this queue");
                        true
                    }
                };
                stays.then_some(id)
            }
            .instrument(span)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    failed.into_iter().for_each(|id| response.add_failure(id));
    response
}

fn parse<T: DeserializeOwned>(message: &SqsMessage) -> Result<T, serde_json::Error> {
    serde_json::from_str(message.body.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bodies: &[&str]) -> SqsEvent {
        let record = |(id, body): (usize, &&str)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(id.to_string());
            message.body = Some((*body).to_owned());
            message
        };
        let mut event = SqsEvent::default();
        event.records = bodies.iter().enumerate().map(record).collect();
        event
    }

    #[tokio::test]
    async fn only_the_messages_that_failed_stay() {
        let response = consume(event(&["1", "2", "no number", "3", "4"]), |number: u32| async move {
            match number {
                2 => Err(Failure::Held),
                3 => panic!("three"),
                4 => Err(Failure::of(std::io::Error::other("four"))),
                _ => Ok(()),
            }
        })
        .await;
        let mut stay: Vec<_> =
            response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        stay.sort_unstable();
        assert_eq!(stay, ["1", "2", "3", "4"]);
    }

    #[test]
    fn a_failure_is_told_as_what_failed() {
        let broken = || std::io::Error::other("broken");
        for failure in [Failure::of(broken()), Failure::given_up(broken())] {
            assert_eq!(chain(&failure), "broken");
        }
    }
}
