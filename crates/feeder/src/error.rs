//! Why a feed ends other than at its end.

use crate::SourceError;

/// Why a feed cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The source cannot go on. What came before has been published or written.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The hub does not let it publish.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A relay was to publish what a hub has to that hub.
    #[error(
        "{upstream} is the hub that the ticks are published to ({hub}), so they would go round for ever: expected \
         another --url or another --hub"
    )]
    SameHub {
        /// Where the ticks come from.
        upstream: String,
        /// Where they were to go.
        hub: String,
    },
    /// The ticks cannot be written.
    #[error("cannot write the ticks")]
    Write(#[source] std::io::Error),
}

/// Why a hub does not let a publisher publish. What may pass by itself is not here: that is tried
/// again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The token holds characters that cannot be sent.
    #[error("the token cannot be sent: expected printable ASCII characters")]
    Token,
    /// The hub refused the connection.
    #[error("{url} refused to take a publisher: HTTP {status}{}{}", detail_of(detail), hint(*status, detail))]
    Refused {
        /// Where it was tried.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the hub said.
        detail: String,
    },
    /// While the connection was down, another source was published under the same publisher id, so
    /// that nobody knows what was taken of this one.
    #[error("another source was published with the same publisher id meanwhile: give each its own")]
    OtherSource,
    /// The hub ended the session with an error that would come again.
    #[error("the hub ended publishing: error {code} {msg}{}{}", detail_of(detail), hint(*code, detail))]
    Ended {
        /// The error's code.
        code: u16,
        /// The text that belongs to the code.
        msg: &'static str,
        /// What the hub said.
        detail: String,
    },
}

fn detail_of(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

/// What to do about it, where the hub has not said it.
fn hint(code: u16, detail: &str) -> &'static str {
    match code {
        401 | 402 => {
            "; give a key that may publish (ID:SECRET), or the hub's publish token, with --token or TICKWIRE_TOKEN"
        }
        404 if detail.is_empty() => {
            "; is it a Tickwire hub, and is the path before /publish right?"
        }
        409 => "; another process publishes with the same publisher id",
        _ => "",
    }
}
