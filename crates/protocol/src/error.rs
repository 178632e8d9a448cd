//! What can be wrong with input.

use std::fmt;

/// Why a value is not what its type allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The bytes end inside this value.
    #[error("input ends here")]
    Truncated,
    /// Something else stands where this type is needed.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What is allowed.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A required field is absent.
    #[error("missing")]
    Missing,
    /// A string, list or number is larger than the contract allows.
    #[error("{value} is more than the limit of {limit}")]
    TooLarge {
        /// Length or number given.
        value: u64,
        /// Largest allowed.
        limit: u64,
    },
    /// The value has the right type but is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// Bytes follow the end of the message.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

impl ValueError {
    /// An element's type that is none, as far as it can be shown.
    pub(crate) fn unknown_kind(kind: &str) -> Self {
        let shown: String = kind.chars().take(16).collect();
        Self::Invalid(format!("unknown element type {shown:?}"))
    }
}

/// Which field of which element of a message was wrong, and why.
///
/// Shown as `element 3 (t), field p: expected a number, found a string`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Index of the element in its message, if the fault lies in one.
    pub element: Option<usize>,
    /// The element's type, as far as it was read: `t`, `q`, …
    pub kind: &'static str,
    /// Name of the field on the wire, empty when it is not one field.
    pub field: &'static str,
    /// What was wrong with it.
    pub problem: ValueError,
}

impl DecodeError {
    /// An error in a field of an element whose place is not known yet.
    pub(crate) fn field(kind: &'static str, field: &'static str, problem: ValueError) -> Self {
        Self { element: None, kind, field, problem }
    }

    /// An error of the message as a whole.
    pub(crate) fn message(problem: ValueError) -> Self {
        Self { element: None, kind: "", field: "", problem }
    }

    pub(crate) fn at(mut self, element: usize) -> Self {
        self.element = Some(element);
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
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for DecodeError {}
