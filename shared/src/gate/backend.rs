//! Backends that call what is our own, in neither contract: with what they prove themselves by in theirs.
//!
//! An app that has both contracts may bring either. A UserSig is looked at as that of a client app is, with the same two
//! reads and the same lock-out, and must be an administrator's; a signature is looked at as in RongCloud's contract. Each
//! call costs one write, to count it.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::dialect::rongcloud::signature::{Signed, unknown_app};
use crate::dialect::tencent::{Code, Error, caller, usersig};
use crate::domain::{App, AppName, Per, Rate};
use crate::runtime::http::Request;
use crate::store::Counted;

use super::admit::{Claim, Identity};
use super::client::{Denial, Denied, Proof, bearer, told};
use super::{Gate, Refused};

impl Gate {
    /// Lets a backend in, for a call that an app may make so many times a second. `command` is what its
    /// `quotas.calls_per_second` know the call by.
    pub async fn backend(&self, request: &Request, command: &str, times: u32) -> Result<Arc<App>, Refused<Denied>> {
        let headers = &request.headers;
        let app = if !headers.contains_key(AUTHORIZATION) && is_signed(headers) {
            self.signer(headers).await?
        } else {
            self.administrator(bearer(headers)?, request.source).await?
        };
        let times = app.quotas.calls_per_second.get(command).copied().unwrap_or(times);
        let counted = Counted {
            app: &app.id,
            command,
            weight: 1,
            rates: &[Rate { times, per: Per::Second }],
            utc_offset_minutes: app.quotas.utc_offset_minutes,
        };
        match self.calls.count(counted, self.clock.now()).await? {
            Ok(()) => Ok(app),
            Err(Rate { times, per }) => {
                let info = format!("the app may call this {times} times a {per}, and has in this one");
                Err(Denied { kind: Denial::TooOften, ..Error::new(Code::TooFrequent, info).into() }.into())
            }
        }
    }

    async fn administrator(&self, user_sig: &str, source: Option<IpAddr>) -> Result<Arc<App>, Refused<Denied>> {
        let now = self.clock.now();
        let (sdk_app_id, name) = usersig::peek(user_sig)?;
        let app = self.apps.by_name(&AppName::SdkAppId(sdk_app_id)).await?;
        let app = app.ok_or_else(|| caller::unknown_app(sdk_app_id))?;
        let proof = caller::user(&app, sdk_app_id, user_sig, now).map(Identity::from);
        let claim = Claim { app: &app, name: &name, source };
        let admitted = self.admit(claim, proof, |error: &Error| error.code.is_wrong_user_sig(), now).await;
        let Identity { name, .. } = admitted.map_err(|unproven| told(unproven, Proof::UserSig))?;
        caller::administrator(&app, &name).map_err(|error| Denied { kind: Denial::NotAllowed, ..error.into() })?;
        Ok(app)
    }

    async fn signer(&self, headers: &HeaderMap) -> Result<Arc<App>, Refused<Denied>> {
        let signed = Signed::read(headers)?;
        let app = self.apps.by_name(&AppName::AppKey(signed.app_key.clone())).await?.ok_or_else(unknown_app)?;
        signed.verify(&app, self.clock.now())?;
        Ok(app)
    }
}

/// Whether it is signed as RongCloud's contract has it, or was meant to be.
fn is_signed(headers: &HeaderMap) -> bool {
    ["app-key", "rc-app-key"].iter().any(|name| headers.contains_key(*name))
}
