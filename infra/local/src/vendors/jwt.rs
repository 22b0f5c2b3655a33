//! Signed tokens, checked for their signature only: time is the stack's, not the system's.

use std::io;

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use rcgen::KeyPair;
use serde::de::DeserializeOwned;

pub(super) struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    pub(super) fn es256(key: &KeyPair) -> io::Result<Self> {
        let key = DecodingKey::from_ec_pem(key.public_key_pem().as_bytes());
        Ok(Self::new(key.map_err(io::Error::other)?, Algorithm::ES256))
    }

    pub(super) fn rs256(key: &KeyPair) -> io::Result<Self> {
        let key = DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes());
        Ok(Self::new(key.map_err(io::Error::other)?, Algorithm::RS256))
    }

    pub(super) fn ps256(key: &KeyPair) -> io::Result<Self> {
        let key = DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes());
        Ok(Self::new(key.map_err(io::Error::other)?, Algorithm::PS256))
    }

    fn new(key: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self { key, validation }
    }

    /// The token's header and claims, if the key signed them; claims that do not fit `C` count
    /// as not signed.
    pub(super) fn verify<C: DeserializeOwned>(&self, token: &str) -> Option<(Header, C)> {
        let token = jsonwebtoken::decode::<C>(token, &self.key, &self.validation).ok()?;
        Some((token.header, token.claims))
    }
}
