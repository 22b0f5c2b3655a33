//! The properties of a resource: each is known, ignored by name, or an error.

use std::str::FromStr;

use super::Error;
use super::scope::Scope;
use super::yaml::{Node, Value};

/// A map whose keys were all accounted for.
pub(super) struct Fields<'s, 'n> {
    scope: &'s Scope<'s>,
    node: Option<&'n Node>,
    line: usize,
}

impl<'s, 'n> Fields<'s, 'n> {
    /// `known` are read here; `ignored` have no meaning on one machine; anything else stops.
    pub fn new(
        scope: &'s Scope<'s>,
        node: &'n Node,
        what: &str,
        known: &[&str],
        ignored: &[&str],
    ) -> Result<Self, Error> {
        for (key, _) in node.entries(what)? {
            let name = key.text.as_str();
            if !known.contains(&name) && !ignored.contains(&name) {
                return Err(Error::new(key.line, format!("the local stack does not know `{name}` of {what}")));
            }
        }
        Ok(Self { scope, node: Some(node), line: node.line })
    }

    /// The same for a map that may be absent.
    pub fn nested(&self, name: &str, known: &[&str], ignored: &[&str]) -> Result<Fields<'s, 'n>, Error> {
        match self.get(name)? {
            Some(node) => Fields::new(self.scope, node, name, known, ignored),
            None => Ok(Fields { scope: self.scope, node: None, line: self.line }),
        }
    }

    pub fn get(&self, name: &str) -> Result<Option<&'n Node>, Error> {
        match self.node.and_then(|node| node.get(name)) {
            Some(node) => self.scope.choose(node),
            None => Ok(None),
        }
    }

    pub fn required(&self, name: &str) -> Result<&'n Node, Error> {
        self.get(name)?.ok_or_else(|| Error::new(self.line, format!("`{name}` is missing")))
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        self.get(name)?.map(|node| self.scope.text(node)).transpose()
    }

    pub fn required_text(&self, name: &str) -> Result<String, Error> {
        self.scope.text(self.required(name)?)
    }

    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(node) = self.get(name)? else {
            return Ok(None);
        };
        let text = self.scope.text(node)?;
        text.parse().map(Some).map_err(|_| Error::new(node.line, format!("`{name}` cannot be `{text}`")))
    }

    pub fn list(&self, name: &str) -> Result<&'n [Node], Error> {
        match self.get(name)? {
            None => Ok(&[]),
            Some(Node { value: Value::List(items), .. }) => Ok(items),
            Some(node) => Err(Error::new(node.line, format!("`{name}` should be a list"))),
        }
    }

    /// A list of texts; one text, or a parameter with commas, is a list too.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        match self.get(name)? {
            None => Ok(Vec::new()),
            Some(Node { value: Value::List(items), .. }) => items.iter().map(|item| self.scope.text(item)).collect(),
            Some(node) => Ok(self.scope.text(node)?.split(',').map(|part| part.trim().to_owned()).collect()),
        }
    }

    pub fn line(&self) -> usize {
        self.line
    }
}
