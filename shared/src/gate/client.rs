//! Client apps, which prove their user with what the app's backend gave them: a UserSig, or a token.
//!
//! In this order: whether the proof can be read, the app, whether the caller is locked out, the proof, whether it was made
//! void. A call costs the two reads of [`admit`](super::admit). Which of the two it was matters to nobody past here, but for
//! the code of a refusal: each has those of its contract.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::dialect::rongcloud::{self, token};
use crate::dialect::tencent::{self, Code, accounts, caller, usersig};
use crate::domain::{App, AppName, Timestamp, UserId};

use super::admit::{Claim, Identity, Unproven};
use super::{Gate, Refused};

/// A client app that is let in.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The app.
    pub app: Arc<App>,
    /// The user, who need not be known yet.
    pub user: UserId,
    /// When the proof was made.
    pub issued_at: Timestamp,
    proof: Proof,
}

/// Why a client app is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {info}")]
pub struct Denied {
    /// What it is to do about it.
    pub kind: Denial,
    /// The contract's number.
    pub code: u32,
    /// A sentence for the developer.
    pub info: String,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The proof is missing or proves no user: another is needed.
    Unproven,
    /// The user may not come back yet, however well it is proven.
    Barred,
    /// Too many proofs were wrong: the next is looked at a minute later.
    LockedOut,
    /// Whoever is proven may not do this.
    NotAllowed,
    /// The app has called too often in this second.
    TooOften,
}

/// What a user is proven with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    UserSig,
    Token,
}

impl Proof {
    /// A UserSig is of an alphabet without dots; a token has two.
    fn of(credential: &str) -> Self {
        if credential.contains('.') { Self::Token } else { Self::UserSig }
    }

    fn void(self) -> Denied {
        match self {
            Self::UserSig => usersig::Failure::Void.into(),
            Self::Token => token::Failure::Void.into(),
        }
    }
}

impl Proven {
    /// The answer if the proof turns out to be void after all: its user was kicked or deleted meanwhile.
    pub fn void(&self) -> Denied {
        self.proof.void()
    }

    /// The answer if the user was deleted, and may not come back yet.
    pub fn barred(&self) -> Denied {
        Denied { kind: Denial::Barred, ..accounts::barred().into() }
    }
}

impl Denied {
    /// The answer to who brings nothing. `info` says where it was to be.
    pub fn nothing(info: &str) -> Self {
        tencent::Error::new(Code::UserSigEmpty, info).into()
    }

    fn locked_out() -> Self {
        let info = "too many proofs of this user, from this address, were wrong within a minute: wait a minute";
        Self { kind: Denial::LockedOut, ..tencent::Error::new(Code::TooManyFailures, info).into() }
    }
}

impl From<tencent::Error> for Denied {
    fn from(error: tencent::Error) -> Self {
        Self { kind: Denial::Unproven, code: error.code.number(), info: error.info }
    }
}

impl From<rongcloud::Error> for Denied {
    fn from(error: rongcloud::Error) -> Self {
        Self { kind: Denial::Unproven, code: error.code.number(), info: error.info }
    }
}

impl From<usersig::Failure> for Denied {
    fn from(failure: usersig::Failure) -> Self {
        tencent::Error::from(failure).into()
    }
}

impl From<token::Failure> for Denied {
    fn from(failure: token::Failure) -> Self {
        Self { kind: Denial::Unproven, code: failure.number(), info: failure.to_string() }
    }
}

impl<E: Into<Denied>> From<E> for Refused<Denied> {
    fn from(error: E) -> Self {
        Self::Told(error.into())
    }
}

/// What a caller brings in the header `Authorization`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let (_, credential) = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .ok_or_else(|| Denied::nothing("the header must be `Authorization: Bearer <UserSig or token>`"))?;
    Ok(credential.trim())
}

impl Gate {
    /// Lets a client app in, as the user whom its UserSig or token proves.
    pub async fn client(&self, credential: &str, source: Option<IpAddr>) -> Result<Proven, Refused<Denied>> {
        match Proof::of(credential) {
            Proof::UserSig => self.bearer_of_a_user_sig(credential, source).await,
            Proof::Token => self.bearer_of_a_token(credential, source).await,
        }
    }

    async fn bearer_of_a_user_sig(&self, text: &str, source: Option<IpAddr>) -> Result<Proven, Refused<Denied>> {
        let now = self.clock.now();
        let (sdk_app_id, name) = usersig::peek(text)?;
        let app = self.apps.by_name(&AppName::SdkAppId(sdk_app_id)).await?;
        let app = app.ok_or_else(|| caller::unknown_app(sdk_app_id))?;
        let proof = caller::user(&app, sdk_app_id, text, now).map(Identity::from);
        let is_wrong = |error: &tencent::Error| error.code.is_wrong_user_sig();
        let claim = Claim { app: &app, name: &name, source };
        let admitted = self.admit(claim, proof, is_wrong, now).await;
        let Identity { name, issued_at } = admitted.map_err(|unproven| told(unproven, Proof::UserSig))?;
        let user = accounts::account(&name)?;
        Ok(Proven { app, user, issued_at, proof: Proof::UserSig })
    }

    async fn bearer_of_a_token(&self, text: &str, source: Option<IpAddr>) -> Result<Proven, Refused<Denied>> {
        let now = self.clock.now();
        let (app_key, user) = token::peek(text)?;
        let app = self.apps.by_name(&AppName::AppKey(app_key)).await?.ok_or(token::Failure::UnknownApp)?;
        let settings = app.rongcloud.as_ref().ok_or(token::Failure::UnknownApp)?;
        let proof = token::verify(text, settings, now);
        let proof = proof.map(|(user, issued_at)| Identity { name: user.as_str().to_owned(), issued_at });
        let claim = Claim { app: &app, name: user.as_str(), source };
        let admitted = self.admit(claim, proof, |failure| failure.is_wrong_token(), now).await;
        // The one that was claimed: there is no other in the token.
        let Identity { issued_at, .. } = admitted.map_err(|unproven| told(unproven, Proof::Token))?;
        Ok(Proven { app, user, issued_at, proof: Proof::Token })
    }
}

pub(super) fn told<E: Into<Denied>>(unproven: Unproven<E>, proof: Proof) -> Refused<Denied> {
    match unproven {
        Unproven::Proof(error) => Refused::Told(error.into()),
        Unproven::Void => Refused::Told(proof.void()),
        Unproven::LockedOut => Refused::Told(Denied::locked_out()),
        Unproven::Store(failure) => Refused::Store(failure),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use crate::domain::Rongcloud;

    use super::*;

    #[test]
    fn a_user_sig_and_a_token_are_told_apart_by_a_dot() {
        let key = "key".to_owned().into();
        for user in ["a", "administrator", "x.y", "用户"] {
            let user_sig = usersig::sign(&key, 1_400_000_000, user, 1_700_000_000, 86_400, Some(b"..."));
            assert_eq!(Proof::of(&user_sig), Proof::UserSig, "{user_sig}");
            let settings = serde_json::json!({"app_key": "key", "app_secret": "secret"});
            let settings: Rongcloud = serde_json::from_value(settings).unwrap();
            let token = token::sign(&settings, &UserId::try_from(user).unwrap(), Timestamp::from_secs(0));
            assert_eq!(Proof::of(&token), Proof::Token, "{token}");
        }
        assert_eq!(Proof::of(""), Proof::UserSig);
    }

    #[test]
    fn the_proof_is_borne_in_the_header() {
        let bearer_of = |header: Option<&'static str>| {
            let value = header.map(|header| (AUTHORIZATION, HeaderValue::from_static(header)));
            bearer(&value.into_iter().collect()).ok().map(str::to_owned)
        };
        assert_eq!(bearer_of(Some("Bearer abc")).as_deref(), Some("abc"));
        assert_eq!(bearer_of(Some("bearer  abc")).as_deref(), Some("abc"));
        for header in [None, Some("abc"), Some("Basic abc"), Some("Bearer"), Some("")] {
            assert_eq!(bearer_of(header), None, "{header:?}");
        }
    }

    #[test]
    fn each_refusal_has_its_kind_and_the_code_of_its_contract() {
        for (denied, kind, code) in [
            (Denied::from(usersig::Failure::Expired), Denial::Unproven, 70_001),
            (Proof::UserSig.void(), Denial::Unproven, 70_001),
            (Proof::Token.void(), Denial::Unproven, 31_020),
            (token::Failure::Forged.into(), Denial::Unproven, 31_004),
            (Denied::nothing("where"), Denial::Unproven, 70_002),
            (Denied::locked_out(), Denial::LockedOut, 70_050),
        ] {
            assert_eq!((denied.kind, denied.code), (kind, code), "{denied}");
        }
    }
}
