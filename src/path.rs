//! Paths: `/svc/payments/one`, in one normal form.

use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Longest path, in bytes.
pub const MAX_PATH: usize = 1024;

/// A path in its normal form: absolute, no empty segment, no slash at the end. The root is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<str>);

impl Path {
    /// Reads a path; a slash at the end is dropped.
    ///
    /// # Errors
    /// `InvalidPath` if it is the root, not absolute, longer than [`MAX_PATH`] bytes, or has an empty segment or a NUL.
    pub fn parse(text: &str) -> Result<Self> {
        let path = Self::parse_prefix(text)?;
        if path.0.is_empty() {
            return Err(invalid(text, "the root holds nobody; add a segment"));
        }
        Ok(path)
    }

    /// As [`parse`](Self::parse), but the root is one too: what lies below a prefix is asked for.
    ///
    /// # Errors
    /// As there.
    pub fn parse_prefix(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(invalid(text, "a path begins with a slash"));
        };
        if text.len() > MAX_PATH {
            return Err(invalid(text, "a path has at most 1024 bytes"));
        }
        if rest.is_empty() {
            return Ok(Self("".into()));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.split('/').any(str::is_empty) {
            return Err(invalid(text, "no segment of a path is empty"));
        }
        if rest.contains('\0') {
            return Err(invalid(text, "a path has no NUL"));
        }
        Ok(Self(text[..=rest.len()].into()))
    }

    /// The text; the root is empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path one level up; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let at = self.0.rfind('/')?;
        Some(Self(self.0[..at].into()))
    }

    /// Whether it lies below `other`, however deep.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// What is no path: where the supervisor is that has no place.
    #[must_use]
    pub fn nowhere() -> Self {
        Self("\0".into())
    }

    pub(crate) fn text(&self) -> &Arc<str> {
        &self.0
    }
}

/// Its text is ordered and hashed as it is.
impl std::borrow::Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

fn invalid(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(80).collect();
    Error::new(ErrorKind::InvalidPath, format!("path {shown:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_have_one_normal_form_and_the_wrong_ones_are_refused() {
        for (given, kept) in
            [("/a", "/a"), ("/a/", "/a"), ("/a/b c/é", "/a/b c/é"), ("/./..", "/./..")]
        {
            assert_eq!(Path::parse(given).map(|p| p.to_string()).ok().as_deref(), Some(kept));
        }
        let long = format!("/{}", "x".repeat(MAX_PATH));
        for wrong in ["", "a", "a/b", "//", "/a//b", "/a//", "//a", "/\0", "/a/\0b", &long] {
            assert!(
                Path::parse(wrong).is_err_and(|e| e.kind() == ErrorKind::InvalidPath),
                "{wrong:?}"
            );
            assert!(Path::parse_prefix(wrong).is_err(), "{wrong:?}");
        }
        assert!(Path::parse(&long[..MAX_PATH]).is_ok());
        assert!(Path::parse("/").is_err());
        assert_eq!(Path::parse_prefix("/").map(|p| p.to_string()).ok().as_deref(), Some("/"));
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "(/[a-c]{1,2}){1,4}/?") {
            let once = Path::parse(&text).unwrap();
            prop_assert_eq!(Path::parse(&once.to_string()).unwrap(), once);
        }
    }
}
