//! Callers of Tencent's contract.
//!
//! In this order: the URL parameters, the app, whether the caller is locked out, its UserSig, whether that was made void,
//! that an administrator calls, and how often.
//!
//! A call costs the two reads of [`admit`](super::admit), and one write of one unit, after them, for only who is proven is
//! counted.

use std::sync::Arc;

use crate::dialect::tencent::caller::{self, Caller, Parameters};
use crate::dialect::tencent::usersig::{Failure, UserSig};
use crate::dialect::tencent::{Code, Command, Error};
use crate::domain::{App, AppName, Per, Rate};
use crate::runtime::http::Request;
use crate::store::Counted;

use super::admit::{Claim, Identity, Unproven};
use super::{Gate, Refused};

impl From<UserSig> for Identity {
    fn from(user_sig: UserSig) -> Self {
        Self { name: user_sig.identifier, issued_at: user_sig.issued_at }
    }
}

impl From<Error> for Refused<Error> {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Gate {
    /// Lets a server's call in: an administrator of the app that the URL names sent it, and not too many in this second.
    pub async fn server(&self, command: &Command, request: &Request) -> Result<(Arc<App>, Caller), Refused<Error>> {
        let now = self.clock.now();
        let parameters = Parameters::parse(&request.query)?;
        let app = self.apps.by_name(&AppName::SdkAppId(parameters.sdk_app_id)).await?;
        let app = app.ok_or_else(|| caller::unknown_app(parameters.sdk_app_id))?;
        let proof = parameters.prove(&app, now).map(Identity::from);
        let claim = Claim { app: &app, name: &parameters.identifier, source: request.source };
        self.admit(claim, proof, |error| error.code.is_wrong_user_sig(), now).await.map_err(told)?;
        let caller = parameters.administrator(&app)?;

        let rate = Rate { times: command.limit(&app.quotas), per: Per::Second };
        let counted = Counted {
            app: &app.id,
            command: command.path,
            weight: 1,
            rates: &[rate],
            utc_offset_minutes: app.quotas.utc_offset_minutes,
        };
        if let Err(Rate { times, per }) = self.calls.count(counted, now).await? {
            let info = format!("the app may call {} {times} times a {per}, and has in this one", command.path);
            return Err(Error::new(Code::TooFrequent, info).into());
        }
        Ok((app, caller))
    }
}

fn told(unproven: Unproven<Error>) -> Refused<Error> {
    match unproven {
        Unproven::Proof(error) => Refused::Told(error),
        Unproven::Void => Refused::Told(Failure::Void.into()),
        Unproven::LockedOut => {
            let info =
                "too many UserSigs of this identifier, from this address, were wrong within a minute: wait a minute";
            Refused::Told(Error::new(Code::TooManyFailures, info))
        }
        Unproven::Store(failure) => Refused::Store(failure),
    }
}
