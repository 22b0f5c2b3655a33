//! Callers of Tencent's contract, and client apps.
//!
//! In this order: the URL parameters, the app, whether the caller is locked out, its UserSig, whether that was made void,
//! and of servers also that an administrator calls, and how often.
//!
//! A server's call costs two strongly consistent reads of one unit each, side by side, and one write of one unit, after
//! them, for only who is proven is counted. A client's costs the two reads. A wrong UserSig costs one read and one write, and more
//! writes only where several of one caller come in the same moment.

use std::net::IpAddr;
use std::sync::Arc;

use tracing::info;

use crate::dialect::tencent::caller::{self, Caller, Parameters};
use crate::dialect::tencent::usersig::{self, Failure, UserSig};
use crate::dialect::tencent::{Code, Command, Error};
use crate::domain::{App, AppName, Per, Rate, Timestamp, UserId};
use crate::runtime::http::Request;
use crate::store::{Attempt, Counted, Standing, StoreError};

use super::origin::origin;
use super::{Gate, Refused};

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
        let app = self.app(parameters.sdk_app_id).await?;
        let proof = parameters.prove(&app, now);
        self.admit(&app, &parameters.identifier, request.source, proof, now).await?;
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

    /// Lets a client app in, as the user whose UserSig it bears.
    pub async fn client(&self, user_sig: &str, source: Option<IpAddr>) -> Result<(Arc<App>, UserSig), Refused<Error>> {
        let now = self.clock.now();
        let (sdk_app_id, identifier) = usersig::peek(user_sig).map_err(Error::from)?;
        let app = self.app(sdk_app_id).await?;
        let proof = caller::user(&app, sdk_app_id, user_sig, now);
        let proven = self.admit(&app, &identifier, source, proof, now).await?;
        Ok((app, proven))
    }

    async fn app(&self, sdk_app_id: u64) -> Result<Arc<App>, Refused<Error>> {
        let app = self.apps.by_name(&AppName::SdkAppId(sdk_app_id)).await?;
        Ok(app.ok_or_else(|| caller::unknown_app(sdk_app_id))?)
    }

    /// Takes a proof, unless whoever brings it is locked out, or it is void. A wrong one is counted.
    async fn admit(
        &self,
        app: &App,
        claimed: &str,
        source: Option<IpAddr>,
        proof: Result<UserSig, Error>,
        now: Timestamp,
    ) -> Result<UserSig, Refused<Error>> {
        let origin = origin(source);
        let limit = app.tencent.as_ref().map_or(0, |tencent| tencent.wrong_user_sigs_per_minute);
        let attempt = Attempt { app: &app.id, claimed, origin: &origin, limit };
        let (before, standing) =
            futures::try_join!(self.attempts.look(attempt, now), self.standing(app, proof.as_ref().ok()))?;
        if before.is_locked {
            return Err(locked_out(app));
        }
        let void = |user_sig: UserSig| {
            if standing.voids(user_sig.issued_at) { Err(Failure::Void.into()) } else { Ok(user_sig) }
        };
        let proof = proof.and_then(void);
        let wrong = proof.as_ref().is_err_and(|error| error.code.is_wrong_user_sig());
        if wrong && !self.attempts.fail(attempt, before, now).await? {
            return Err(locked_out(app));
        }
        Ok(proof?)
    }

    /// What is held against a proven user. Of one who is not proven it is of no interest.
    async fn standing(&self, app: &App, proven: Option<&UserSig>) -> Result<Standing, StoreError> {
        // An administrator need not be an account that could be kicked.
        match proven.and_then(|user_sig| UserId::try_from(user_sig.identifier.as_str()).ok()) {
            Some(user) => self.standing.get(&app.id, &user).await,
            None => Ok(Standing::default()),
        }
    }
}

fn locked_out(app: &App) -> Refused<Error> {
    info!(app.id = %app.id, "Refused a caller that is locked out");
    let info = "too many UserSigs of this identifier, from this address, were wrong within a minute: wait a minute";
    Error::new(Code::TooManyFailures, info).into()
}
