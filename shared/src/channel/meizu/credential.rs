//! How we prove who we are: a signature over each request, made with the app's secret.

use form_urlencoded::Serializer;
use md5::{Digest, Md5};
use secrecy::{ExposeSecret, SecretString};

use crate::channel::Target;
use crate::domain::MeizuCredentials;

/// The signed form that sends a message to the devices of one request.
pub(super) fn form(credentials: &MeizuCredentials, targets: &[&Target], message: &str) -> String {
    let tokens: Vec<&str> = targets.iter().map(|target| target.token.expose()).collect();
    let tokens = tokens.join(",");
    // In the order of their names, in which they are signed.
    let fields = [("appId", credentials.app_id.as_str()), ("messageJson", message), ("pushIds", &tokens)];
    let sign = sign(&fields, &credentials.app_secret);
    Serializer::new(String::new()).extend_pairs(fields).append_pair("sign", &sign).finish()
}

/// MD5 over the fields as they are before they are encoded, and the secret after them (Meizu, "Push API", signatures).
fn sign(fields: &[(&str, &str)], secret: &SecretString) -> String {
    let mut md5 = Md5::new();
    for part in fields.iter().flat_map(|(name, value)| [name, "=", value]) {
        md5.update(part);
    }
    md5.update(secret.expose_secret());
    base16ct::lower::encode_string(&md5.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::{self, target};

    const ID: &str = "RA50c6348036344485d01776773577c64740465480a6b";
    const MESSAGE: &str = r#"{"title":"title","content":"content","pushTimeInfo":{"offLine":1,"validTime":24}}"#;

    #[test]
    fn a_signature_is_that_of_meizus_own_example() {
        let fields = [("appId", "10000"), ("messageJson", MESSAGE), ("pushIds", ID)];
        assert_eq!(sign(&fields, &"<APP_SECRET>".into()), "ac076ff25d9900015a681cb5172aa53b");
    }

    #[test]
    fn a_form_has_every_field_encoded_and_signed() {
        let credentials = MeizuCredentials {
            endpoint: String::new(),
            app_id: "10000".to_owned(),
            app_secret: "<APP_SECRET>".into(),
            default_title: None,
            rate: None,
        };
        let form = testkit::form(form(&credentials, &[&target(ID)], MESSAGE).as_bytes());
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let sign = "ac076ff25d9900015a681cb5172aa53b";
        assert_eq!(form, [("appId", "10000"), ("messageJson", MESSAGE), ("pushIds", ID), ("sign", sign)]);
    }
}
