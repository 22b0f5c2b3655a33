//! YAML that remembers its lines and the short form of CloudFormation's functions.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::Error;

/// One value of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where the value stands, from 1.
    pub line: usize,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `plain` is a scalar without quotes, which may be a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// An intrinsic function: `!Ref X`, or `Ref: X`, or `Fn::Sub: X`.
    Call {
        function: String,
        argument: Box<Node>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub line: usize,
    pub text: String,
}

impl Node {
    /// Reads one document.
    pub fn parse(source: &str) -> Result<Node, Error> {
        let mut reader = Reader { parser: Parser::new_from_str(source) };
        loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, span) => {
                    return Err(Error::new(line(span), "the template is empty"));
                }
                (event, span) => return reader.node(event, span),
            }
        }
    }

    /// The entries of a map; an error that names `what` when it is none.
    pub fn entries(&self, what: &str) -> Result<&[(Key, Node)], Error> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(Error::new(self.line, format!("{what} should be a map"))),
        }
    }

    /// The value under `key`, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries.iter().find_map(|(name, node)| (name.text == key).then_some(node))
    }
}

struct Reader<'input> {
    parser: Parser<'input, saphyr_parser::StrInput<'input>>,
}

impl<'input> Reader<'input> {
    fn next(&mut self) -> Result<(Event<'input>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Error::new(error.marker().line(), error.info())),
            None => Err(Error::new(1, "the template ends too early")),
        }
    }

    fn node(&mut self, event: Event<'input>, span: Span) -> Result<Node, Error> {
        let line = line(span);
        let (value, tag) = match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                (Value::Scalar { text, plain }, tag)
            }
            Event::SequenceStart(_, tag) => (Value::List(self.list()?), tag),
            Event::MappingStart(_, tag) => (Value::Map(self.map()?), tag),
            Event::Alias(_) => return Err(Error::new(line, "aliases are not understood")),
            _ => return Err(Error::new(line, "a value was expected here")),
        };
        Ok(called(Node { line, value }, tag))
    }

    fn list(&mut self) -> Result<Vec<Node>, Error> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(Key, Node)>, Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (text, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => (text.into_owned(), line(span)),
                (_, span) => return Err(Error::new(line(span), "a key should be a word")),
            };
            if entries.iter().any(|(key, _)| key.text == text) {
                return Err(Error::new(line, format!("`{text}` is said twice")));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span)?;
            entries.push((Key { line, text }, node));
        }
    }
}

/// Folds the short form (`!Sub x`) and the long one (`Fn::Sub: x`) into one.
fn called(node: Node, tag: Option<Cow<'_, Tag>>) -> Node {
    let line = node.line;
    if let Some(tag) = tag
        && !tag.is_yaml_core_schema()
    {
        return Node { line, value: Value::Call { function: tag.suffix.clone(), argument: Box::new(node) } };
    }
    let Value::Map(entries) = &node.value else {
        return node;
    };
    let [(key, argument)] = entries.as_slice() else {
        return node;
    };
    let function = match key.text.as_str() {
        "Ref" => "Ref",
        name => match name.strip_prefix("Fn::") {
            Some(function) => function,
            None => return node,
        },
    };
    Node { line, value: Value::Call { function: function.to_owned(), argument: Box::new(argument.clone()) } }
}

fn line(span: Span) -> usize {
    span.start.line()
}
