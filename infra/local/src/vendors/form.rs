//! Bodies that are forms.

use std::collections::BTreeMap;

use http::header;

use super::vendor::VendorRequest;

const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of a form, by name.
pub(super) type Form = BTreeMap<String, String>;

/// The body's fields; `None` if it is no form, no text, or names a field twice.
pub(super) fn read(request: &VendorRequest) -> Option<Form> {
    let kind = request.header(header::CONTENT_TYPE.as_str())?.split(';').next()?;
    if !kind.trim().eq_ignore_ascii_case(FORM) || std::str::from_utf8(&request.body).is_err() {
        return None;
    }
    let mut form = Form::new();
    for (name, value) in form_urlencoded::parse(&request.body) {
        // What is not UTF-8 behind its percent signs comes out as this.
        if value.contains(char::REPLACEMENT_CHARACTER) || form.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(form)
}

/// What a field lists, parted by commas; at least one text, which may be empty.
pub(super) fn listed(body: &[u8], name: &str) -> Vec<String> {
    let mut fields = form_urlencoded::parse(body);
    let value = fields.find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
    value.unwrap_or_default().split(',').map(str::to_owned).collect()
}
