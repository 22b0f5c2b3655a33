//! What can go wrong with the store, as its callers need to know it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;

/// A store call that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Others kept changing the same items: nothing was written, and trying again later will do.
    #[error("gave up after {0} lost races for the same items")]
    Contended(u32),
    /// The database left some of what was to be read, each time: it is short of capacity, and trying again later will do.
    #[error("the database left keys unprocessed {0} times")]
    Unprocessed(u32),
    /// The database did not answer, or refused: what was being written may or may not be.
    #[error("the database failed: {code}")]
    Unavailable {
        /// The code of the failure, or that there was no answer.
        code: String,
        /// The failure.
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// An item does not hold what its kind holds.
    #[error("an item of kind `{kind}` cannot be read: {reason}")]
    Corrupt {
        /// The kind of item.
        kind: &'static str,
        /// What is wrong with it, without its content.
        reason: String,
    },
}

impl StoreError {
    pub(super) fn corrupt(kind: &'static str, reason: impl ToString) -> Self {
        Self::Corrupt { kind, reason: reason.to_string() }
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    aws_sdk_dynamodb::Error: From<SdkError<E, R>>,
{
    fn from(error: SdkError<E, R>) -> Self {
        let source = Box::new(aws_sdk_dynamodb::Error::from(error));
        let code = source.code().unwrap_or("no answer").to_owned();
        Self::Unavailable { code, source }
    }
}

impl From<aws_sdk_dynamodb::error::BuildError> for StoreError {
    fn from(error: aws_sdk_dynamodb::error::BuildError) -> Self {
        Self::corrupt("request", error)
    }
}

/// Whether a write was refused because its condition did not hold.
pub(super) fn condition_failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    code(error) == Some("ConditionalCheckFailedException")
}

/// Whether a write was refused because a transaction was at its item: trying again may pass.
pub(super) fn conflicted<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    code(error) == Some("TransactionConflictException")
}

/// What a conditional write came to; `None` if it was refused because its condition did not hold.
pub(super) fn unless_refused<T, E, R>(result: Result<T, SdkError<E, R>>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata,
    aws_sdk_dynamodb::Error: From<SdkError<E, R>>,
{
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if condition_failed(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a transaction was refused because someone else was changing, or had changed, its items: reading again and
/// trying again may pass. One that was cancelled for want of capacity, say, was not: it would only be refused again.
pub(super) fn transaction_lost<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let lost = |reason: &CancellationReason| {
                matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict"))
            };
            cancelled.cancellation_reasons().iter().any(lost)
        }
        _ => matches!(code(error), Some("TransactionConflictException" | "TransactionInProgressException")),
    }
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;

    use super::*;

    fn cancelled(codes: &[&str]) -> SdkError<TransactWriteItemsError, ()> {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let error = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build();
        SdkError::service_error(TransactWriteItemsError::TransactionCanceledException(error), ())
    }

    #[test]
    fn a_cancelled_transaction_is_a_lost_race_only_if_others_were_at_its_items() {
        for (codes, lost) in [
            (&["None", "ConditionalCheckFailed"][..], true),
            (&["TransactionConflict", "None"], true),
            (&["ThrottlingError", "ConditionalCheckFailed"], true),
            (&["None", "ThrottlingError"], false),
            (&["ProvisionedThroughputExceeded"], false),
            (&["ValidationError"], false),
            (&[], false),
        ] {
            assert_eq!(transaction_lost(&cancelled(codes)), lost, "{codes:?}");
        }
    }
}
