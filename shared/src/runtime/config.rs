//! Settings, read once at the start from the environment.

/// A required setting that is not there or cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not set, or empty.
    #[error("`{0}` is not set")]
    Missing(String),
    /// Its value does not fit.
    #[error("`{name}` cannot be read: {reason}")]
    Invalid {
        /// The variable.
        name: String,
        /// What is wrong with it, without repeating it.
        reason: String,
    },
}

/// Where settings come from: the environment, or a test's table.
pub trait Lookup {
    /// The value of a setting, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Lookup for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The process's environment.
pub struct Environment;

impl Lookup for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// A setting that must be there.
pub fn required(lookup: &impl Lookup, name: &str) -> Result<String, ConfigError> {
    optional(lookup, name).ok_or_else(|| ConfigError::Missing(name.to_owned()))
}

/// A setting that may be absent. An empty one is absent.
pub fn optional(lookup: &impl Lookup, name: &str) -> Option<String> {
    lookup.get(name).filter(|value| !value.is_empty())
}

/// A setting that must be there and parse. The type's error must not repeat what it could not read.
pub fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    lookup: &impl Lookup,
    name: &str,
) -> Result<T, ConfigError> {
    required(lookup, name)?
        .parse()
        .map_err(|error: T::Err| ConfigError::Invalid { name: name.to_owned(), reason: error.to_string() })
}

/// The names of the three tables.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Tenants.
    pub apps: String,
    /// Users, the index, contacts.
    pub audience: String,
    /// Pushes and their ledger.
    pub pushes: String,
}

impl Tables {
    /// From `FANFARE_APPS_TABLE`, `FANFARE_AUDIENCE_TABLE`, `FANFARE_PUSHES_TABLE`.
    pub fn from_lookup(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        Ok(Self {
            apps: required(lookup, "FANFARE_APPS_TABLE")?,
            audience: required(lookup, "FANFARE_AUDIENCE_TABLE")?,
            pushes: required(lookup, "FANFARE_PUSHES_TABLE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_named() {
        let error = Tables::from_lookup(&|name: &str| (name != "FANFARE_PUSHES_TABLE").then(|| "t".to_owned()));
        assert_eq!(error.unwrap_err().to_string(), "`FANFARE_PUSHES_TABLE` is not set");
    }

    #[test]
    fn an_unreadable_setting_is_named_and_not_repeated() {
        let secret = |_: &str| Some("secret".to_owned());
        let error = parsed::<u8>(&secret, "SIZE").unwrap_err();
        assert_eq!(error.to_string(), "`SIZE` cannot be read: invalid digit found in string");
        let error = parsed::<crate::domain::Channel>(&secret, "CHANNEL").unwrap_err();
        assert_eq!(error.to_string(), "`CHANNEL` cannot be read: no known channel");
    }
}
