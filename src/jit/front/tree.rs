//! A function as `python/iris/_source.py` and `lib/kernel-source.js` serialise it: nested lists of atoms.
//!
//! `(kind line column field...)`; names and numbers are atoms, floats are their bits in hexadecimal after an `f`.

use crate::jit::error::{JitError, JitErrorKind, Pos, Result};

/// A node: what it is, where it stands, its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: String,
    /// Where it stands.
    pub pos: Pos,
    /// The fields after the position.
    pub fields: Vec<Item>,
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A name or a number.
    Atom(String),
    /// A node: a list that starts with an atom.
    Node(Node),
    /// A list of items, written with brackets.
    List(Vec<Item>),
}

impl Item {
    pub(super) fn node(&self) -> Result<&Node> {
        match self {
            Self::Node(node) => Ok(node),
            _ => Err(malformed("a node was expected")),
        }
    }

    pub(super) fn list(&self) -> Result<&[Item]> {
        match self {
            Self::List(items) => Ok(items),
            _ => Err(malformed("a list was expected")),
        }
    }

    pub(super) fn atom(&self) -> Result<&str> {
        match self {
            Self::Atom(text) => Ok(text),
            _ => Err(malformed("an atom was expected")),
        }
    }
}

impl Node {
    pub(super) fn field(&self, at: usize) -> Result<&Item> {
        self.fields.get(at).ok_or_else(|| malformed("a field is missing"))
    }

    pub(super) fn sub(&self, at: usize) -> Result<&Node> {
        self.field(at)?.node()
    }

    pub(super) fn name(&self, at: usize) -> Result<&str> {
        self.field(at)?.atom()
    }

    pub(super) fn list(&self, at: usize) -> Result<&[Item]> {
        self.field(at)?.list()
    }
}

fn malformed(what: &str) -> JitError {
    JitError::new(JitErrorKind::Syntax, Pos::default(), format!("malformed tree: {what}"))
}

/// Reads one node, at most `depth` deep.
///
/// # Errors
/// `Syntax` where the text is no node, `Limit` where it is nested too deep.
pub fn parse(text: &str, depth: usize) -> Result<Node> {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let item = reader.item(depth)?;
    match item {
        Item::Node(node) if reader.skip().is_none() => Ok(node),
        _ => Err(malformed("one node was expected")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn item(&mut self, depth: usize) -> Result<Item> {
        if depth == 0 {
            return Err(JitError::limit(Pos::default(), "nested too deeply"));
        }
        match self.skip() {
            Some(b'(') => {
                let items = self.items(b')', depth)?;
                node_of(items)
            }
            Some(b'[') => Ok(Item::List(self.items(b']', depth)?)),
            Some(b')' | b']') | None => Err(malformed("an item was expected")),
            Some(_) => {
                let start = self.at;
                let ends = |c: &u8| c.is_ascii_whitespace() || b"()[]".contains(c);
                while self.text.get(self.at).is_some_and(|c| !ends(c)) {
                    self.at += 1;
                }
                let atom = std::str::from_utf8(&self.text[start..self.at]);
                Ok(Item::Atom(atom.map_err(|_| malformed("not UTF-8"))?.to_owned()))
            }
        }
    }

    fn items(&mut self, end: u8, depth: usize) -> Result<Vec<Item>> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            match self.skip() {
                Some(c) if c == end => {
                    self.at += 1;
                    return Ok(items);
                }
                None => return Err(malformed("an unclosed list")),
                Some(_) => items.push(self.item(depth - 1)?),
            }
        }
    }
}

fn node_of(items: Vec<Item>) -> Result<Item> {
    let mut items = items.into_iter();
    let mut atom = || match items.next() {
        Some(Item::Atom(text)) => Ok(text),
        _ => Err(malformed("a node starts with its kind, line and column")),
    };
    let kind = atom()?;
    let mut number = || atom()?.parse::<u32>().map_err(|_| malformed("a position is a number"));
    let pos = Pos::new(number()?, number()?);
    Ok(Item::Node(Node { kind, pos, fields: items.collect() }))
}
