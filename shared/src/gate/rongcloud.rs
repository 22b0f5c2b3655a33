//! Callers of RongCloud's contract.
//!
//! In this order: the app, the signature, how often, whether the service is on. What the service's lack refuses has been
//! counted: RongCloud's page says of calls that are refused for it that they run into the limit too. Nobody is locked
//! out, for a signature does not say who brings it.
//!
//! A call costs no read, for the app is remembered, and what is counted of it: one write of one unit; four units in one
//! transaction for a call that may come so often an hour and so often a day; nothing for one without a limit.

use std::sync::Arc;

use crate::dialect::rongcloud::signature::{Signed, unknown_app};
use crate::dialect::rongcloud::{Call, Code, Command, Error};
use crate::domain::{App, AppName, Rate, Rongcloud, Timestamp};
use crate::runtime::http::Request;
use crate::store::Counted;

use super::{Gate, Refused};

impl From<Error> for Refused<Error> {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Gate {
    /// Lets a server's call in that is signed with the secret of the app that it names, unless it is one too many or its
    /// service is off.
    pub async fn signed(&self, command: &Command, request: &Request) -> Result<Arc<App>, Refused<Error>> {
        let now = self.clock.now();
        let signed = Signed::read(&request.headers)?;
        let app = self.apps.by_name(&AppName::AppKey(signed.app_key.clone())).await?.ok_or_else(unknown_app)?;
        signed.verify(&app, now)?;
        let settings = app.rongcloud.as_ref().ok_or_else(unknown_app)?;
        self.count(command, &app, settings, &request.body, now).await?;
        let service = command.call.service();
        if service.is_some_and(|service| !settings.services.contains(&service)) {
            return Err(Error::new(Code::NotEnabled, "this service is not switched on for the app").into());
        }
        Ok(app)
    }

    async fn count(
        &self,
        command: &Command,
        app: &App,
        settings: &Rongcloud,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Refused<Error>> {
        let rates = command.rates(settings);
        let counted = Counted {
            app: &app.id,
            command: command.path,
            weight: command.weight(body),
            rates: &rates,
            utc_offset_minutes: app.quotas.utc_offset_minutes,
        };
        let too_many = |rate| Error::new(Code::TooFrequent, too_frequent(command, counted.weight, rate));
        self.calls.count(counted, now).await?.map_err(|rate| too_many(rate).into())
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
