//! Positions in the stream of a hub.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tickwire_protocol::ValueError;

/// A position in the stream of a hub.
///
/// An application receives positions in [`Event::Position`](crate::Event::Position) and passes one
/// to [`Client::resume`](crate::Client::resume) to continue after it. The text form is
/// `EPOCH:NUMBER`, which can be stored in a file.
///
/// ```
/// use tickwire_client::Position;
///
/// let position: Position = "8c1f6e0b52d94a37:1042".parse()?;
/// assert_eq!(position.to_string(), "8c1f6e0b52d94a37:1042");
/// # Ok::<(), tickwire_client::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    pub(crate) epoch: Arc<str>,
    pub(crate) number: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.number)
    }
}

impl FromStr for Position {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let parts = text.rsplit_once(':').filter(|(epoch, _)| !epoch.is_empty());
        let parsed = parts.and_then(|(epoch, number)| Some((epoch, number.parse().ok()?)));
        let (epoch, number) = parsed.ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            ValueError::Invalid(format!("{shown:?}: expected EPOCH:NUMBER"))
        })?;
        Ok(Self { epoch: epoch.into(), number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_round_trips_as_text() {
        for text in ["e:0", "8c1f6e0b52d94a37:18446744073709551615", "a:b:7"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for text in ["", ":", ":1", "e:", "e:-1", "e:1.5", "e:18446744073709551616", "e"] {
            let error = text.parse::<Position>().unwrap_err().to_string();
            assert!(error.contains("expected EPOCH:NUMBER"), "{error}");
        }
    }
}
