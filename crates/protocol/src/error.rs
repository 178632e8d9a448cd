//! Errors of parsing and decoding: what is wrong with a value, and where in a message it stands.

use std::fmt;

use crate::Printable;

/// Characters of a peer's input that an error message repeats.
const EXCERPT_CHARS_MAX: usize = 40;

/// Returns the beginning of a peer's input, short enough to be repeated in an error message.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// Why a value was rejected.
///
/// The text says what was given and what is allowed. It does not name the field; [`DecodeError`]
/// does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The input ends before the value does.
    #[error("the input ends inside this value")]
    Truncated,
    /// The value has another type than its field.
    #[error("expected {expected}, found {found}")]
    Type {
        /// The type that is allowed, such as `a string`.
        expected: &'static str,
        /// The type, or the short value, that was given.
        found: String,
    },
    /// A required field is absent.
    #[error("missing")]
    Missing,
    /// A string, a list or a number exceeds its limit.
    #[error("{value} {unit} given, at most {limit} allowed")]
    TooLarge {
        /// The length or number that was given.
        value: u64,
        /// The largest length or number allowed.
        limit: u64,
        /// What is counted, such as `bytes`.
        unit: &'static str,
    },
    /// The value has the right type but is not allowed. The text says what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// This many bytes follow the end of the message.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

impl ValueError {
    /// Returns the error for an element whose type (`T`) is unknown.
    pub(crate) fn unknown_kind(kind: &str) -> Self {
        Self::Invalid(format!("unknown element type {:?}", excerpt(kind)))
    }

    /// Returns an error if `len` exceeds `limit`, both counted in `unit`.
    pub(crate) fn check_len(len: usize, limit: usize, unit: &'static str) -> Result<(), Self> {
        if len <= limit {
            return Ok(());
        }
        Err(Self::TooLarge { value: len as u64, limit: limit as u64, unit })
    }
}

/// Why a message or a command could not be decoded, and which field of which element is wrong.
///
/// Displays as `element 3 (t), field p: expected a number, found a string`. The hub sends this text
/// as the `detail` of an error element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Index of the element in its message, counted from 0; `None` if the error concerns the whole
    /// message, or a command, which is not part of an array.
    pub element: Option<usize>,
    /// The type of the element, its `T` (`t`, `q`, `gap`, …); empty if it is unknown or was not
    /// decoded yet.
    pub kind: &'static str,
    /// The key of the field on the wire; empty if the error does not concern one field.
    pub field: &'static str,
    /// Why the value was rejected.
    pub problem: ValueError,
}

impl DecodeError {
    /// Creates an error in a field of an element whose index is not known yet.
    pub(crate) const fn field(
        kind: &'static str,
        field: &'static str,
        problem: ValueError,
    ) -> Self {
        Self { element: None, kind, field, problem }
    }

    /// Creates the error for a required field that is absent.
    pub(crate) const fn missing(kind: &'static str, field: &'static str) -> Self {
        Self::field(kind, field, ValueError::Missing)
    }

    /// Creates the error for a field whose value is not allowed; `problem` says what is allowed.
    pub(crate) fn invalid(
        kind: &'static str,
        field: &'static str,
        problem: impl Into<String>,
    ) -> Self {
        Self::field(kind, field, ValueError::Invalid(problem.into()))
    }

    /// Creates an error of the message as a whole.
    pub(crate) const fn message(problem: ValueError) -> Self {
        Self::field("", "", problem)
    }

    /// Adds the index of the element that the error is in.
    pub(crate) const fn in_element(mut self, index: usize) -> Self {
        self.element = Some(index);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(element) = self.element {
            write!(f, "element {element}")?;
            separator = ", ";
        }
        if !self.kind.is_empty() {
            write!(f, "{}({})", if separator.is_empty() { "" } else { " " }, self.kind)?;
            separator = ", ";
        }
        if !self.field.is_empty() {
            write!(f, "{separator}field {}", self.field)?;
            separator = ", ";
        }
        if !separator.is_empty() {
            f.write_str(": ")?;
        }
        write!(f, "{}", Printable(&self.problem.to_string()))
    }
}

impl std::error::Error for DecodeError {}
