//! Errors that end a feed.

use tickwire_protocol::Printable;

use crate::SourceError;

/// Why a feed ended early.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The source failed. The ticks before the failure have been published or written.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The hub refuses this publisher.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A relay would publish the ticks of a hub to the same hub.
    #[error(
        "{upstream} is the hub that the ticks are published to ({hub}), so they would go round for ever: expected \
         another --url or another --hub"
    )]
    SameHub {
        /// Address of the upstream.
        upstream: String,
        /// Address of the hub.
        hub: String,
    },
    /// The ticks cannot be written.
    #[error("cannot write the ticks")]
    Write(#[source] std::io::Error),
}

/// Why a hub refuses a publisher for good. Failures that may pass are retried and are not errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The token contains characters that an HTTP header cannot carry.
    #[error("the token cannot be sent: expected printable ASCII characters")]
    Token,
    /// The hub refused the connection.
    #[error("{url} refused to take a publisher: HTTP {status}{}{}", detail_of(detail), hint(*status, detail))]
    Refused {
        /// Address of the hub.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Explanation given by the hub.
        detail: String,
    },
    /// While the connection was down, another source was published under the same publisher id, so
    /// the progress of this source is unknown.
    #[error(
        "another source was published with this publisher id: use a different id for each source"
    )]
    OtherSource,
    /// The hub ended the session with an error that a retry would repeat.
    #[error("the hub ended publishing: error {code} {msg}{}{}", detail_of(detail), hint(*code, detail))]
    Ended {
        /// Error code of the protocol.
        code: u16,
        /// Standard text of the code.
        msg: &'static str,
        /// Explanation given by the hub.
        detail: String,
    },
}

fn detail_of(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({})", Printable(detail)) }
}

/// Returns a hint that tells the user what to do about an error, empty if there is none or if the
/// hub's explanation says it already.
fn hint(code: u16, detail: &str) -> &'static str {
    match code {
        401 | 402 => {
            "; pass a key that may publish (ID:SECRET), or the hub's publish token, with --token-file or TICKWIRE_TOKEN"
        }
        404 if detail.is_empty() => {
            "; check that the address is that of a Tickwire hub, including its path prefix"
        }
        409 => "; another process publishes with the same publisher id",
        _ => "",
    }
}
