//! Keys and certificates of one run, made at start and never stored.

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::task;
use tokio_rustls::TlsAcceptor;

pub(super) struct Keys {
    pub ca_pem: String,
    /// EC P-256: signs APNs provider tokens.
    pub provider: KeyPair,
    /// RSA 2048: signs the service account's assertions.
    pub service_account: KeyPair,
    leaf: CertificateDer<'static>,
    leaf_key: KeyPair,
}

impl Keys {
    pub(super) async fn generate() -> io::Result<Self> {
        // An RSA key takes a tenth of a second or several: beside everything else, off the runtime.
        let rsa = task::spawn_blocking(|| KeyPair::generate_for(&PKCS_RSA_SHA256));
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf_key = KeyPair::generate().map_err(io::Error::other)?;
        let (ca_pem, leaf) = certify(&ca_key, &leaf_key).map_err(io::Error::other)?;
        Ok(Self {
            ca_pem,
            provider: KeyPair::generate().map_err(io::Error::other)?,
            service_account: rsa.await?.map_err(io::Error::other)?,
            leaf,
            leaf_key,
        })
    }

    /// Accepts TLS connections as `localhost` that agree on one of the protocols.
    pub(super) fn tls(&self, alpn: &[&[u8]]) -> io::Result<TlsAcceptor> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![self.leaf.clone()], key))
            .map_err(io::Error::other)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certify(ca_key: &KeyPair, leaf_key: &KeyPair) -> Result<(String, CertificateDer<'static>), rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "Fanfare vendor sandbox");
    let ca_pem = ca.self_signed(ca_key)?.pem();

    let mut leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.use_authority_key_identifier_extension = true;
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    let leaf = leaf.signed_by(leaf_key, &Issuer::from_params(&ca, ca_key))?;
    Ok((ca_pem, leaf.der().clone()))
}
