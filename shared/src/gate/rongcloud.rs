//! Callers of RongCloud's contract.
//!
//! In this order: the app, the signature, how often, whether the service is on. What the service's lack refuses has been
//! counted: RongCloud's page says of calls that are refused for it that they run into the limit too. Nobody is locked
//! out, for a signature does not say who brings it.
//!
//! Between the signature and the count there is room for what is not to be counted: a repeat of a call whose answer was
//! lost, say. Nor is a call that fails here, through no fault of the caller's; if the count cannot be given back either,
//! it stays.
//!
//! A call costs no read, for the app is remembered, and what is counted of it: one write of one unit; four units in one
//! transaction for a call that may come so often an hour and so often a day; nothing for one without a limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, warn};

use crate::dialect::rongcloud::signature::{Signed, unknown_app};
use crate::dialect::rongcloud::{Call, Code, Command, Error};
use crate::domain::{App, AppName, Rate, Timestamp};
use crate::runtime::http::{PATIENCE, Request};
use crate::runtime::telemetry::chain;
use crate::store::Counted;

use super::{Gate, Refused};

/// How long a call may take once it is counted. What is left of the time that a request has is for giving the count back.
const CALL_PATIENCE: Duration = PATIENCE.saturating_sub(Duration::from_secs(2));

/// A call that is signed with the secret of the app that it names, and not yet counted.
#[derive(Debug)]
pub struct SignedCall {
    /// The app.
    pub app: Arc<App>,
    /// When it came.
    pub now: Timestamp,
    command: &'static Command,
    rates: Vec<Rate>,
    weight: u32,
    is_switched_on: bool,
}

impl From<Error> for Refused<Error> {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Gate {
    /// Lets a server's call in that is signed with the secret of the app that it names, for now: before it is done it is
    /// [counted](Self::counted).
    pub async fn signed(&self, command: &'static Command, request: &Request) -> Result<SignedCall, Refused<Error>> {
        let now = self.clock.now();
        let signed = Signed::read(&request.headers)?;
        let app = self.apps.by_name(&AppName::AppKey(signed.app_key.clone())).await?.ok_or_else(unknown_app)?;
        let settings = signed.verify(&app, now)?;
        let rates = command.rates(settings).into_owned();
        let is_switched_on = command.call.service().is_none_or(|service| settings.services.contains(&service));
        Ok(SignedCall { app, now, command, rates, weight: command.weight(&request.body), is_switched_on })
    }

    /// Has a call done, unless it is one too many or its service is off. If that fails here, or takes too long, the call is
    /// not counted after all.
    pub async fn counted<T>(
        &self,
        call: &SignedCall,
        done: impl Future<Output = Result<T, Refused<Error>>>,
    ) -> Result<T, Refused<Error>> {
        let counted = call.counted();
        call.command.fits(call.weight, &call.rates)?;
        if let Err(rate) = self.calls.count(counted, call.now).await? {
            return Err(Error::new(Code::TooFrequent, too_frequent(call.command, call.weight, rate)).into());
        }
        if !call.is_switched_on {
            return Err(Error::new(Code::NotEnabled, "this service is not switched on for the app").into());
        }
        let outcome = timeout(CALL_PATIENCE, done).await.unwrap_or_else(|_| {
            error!(app.id = %call.app.id, command = call.command.path, "A call took too long");
            Err(Error::too_slow().into())
        });
        if outcome.as_ref().is_err_and(is_ours)
            && let Err(failure) = self.calls.give_back(counted, call.now).await
        {
            warn!(app.id = %call.app.id, error = chain(&failure), "A call that failed here counts all the same");
        }
        outcome
    }
}

impl SignedCall {
    fn counted(&self) -> Counted<'_> {
        Counted {
            app: &self.app.id,
            command: self.command.path,
            weight: self.weight,
            rates: &self.rates,
            utc_offset_minutes: self.app.quotas.utc_offset_minutes,
        }
    }
}

/// Whether it was no fault of the caller's.
fn is_ours(refused: &Refused<Error>) -> bool {
    match refused {
        Refused::Told(error) => matches!(error.code, Code::Internal | Code::Timeout),
        Refused::Store(_) => true,
    }
}

fn too_frequent(command: &Command, weight: u32, Rate { times, per }: Rate) -> String {
    let path = command.path;
    match command.call {
        Call::PushUser => {
            format!(
                "the app may push to {times} users by {path} in one {per}: {weight} more would be too many in this one"
            )
        }
        _ => format!("the app may call {path} {times} times in one {per}, and has in this one"),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::Per;

    use super::*;

    #[test]
    fn only_what_fails_here_is_no_fault_of_the_callers() {
        for code in Code::ALL {
            let expected = matches!(code.number(), 1000 | 1050);
            assert_eq!(is_ours(&Error::new(*code, "").into()), expected, "{code}");
        }
    }

    #[test]
    fn who_calls_too_often_is_told_which_limit_it_was() {
        let told = |path, weight, times, per| too_frequent(Command::of(path).unwrap(), weight, Rate { times, per });
        let day = told("/push.json", 1, 3, Per::Day);
        assert_eq!(day, "the app may call /push.json 3 times in one day, and has in this one");
        let users = told("/push/user.json", 40, 100, Per::Second);
        assert_eq!(
            users,
            "the app may push to 100 users by /push/user.json in one second: 40 more would be too many in this one"
        );
    }
}
