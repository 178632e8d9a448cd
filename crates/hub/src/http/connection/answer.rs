//! Answers on kept connections: announces how long the connection stays open, and notes when an
//! answer is complete.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::activity::Activity;
use crate::clock;

/// Header with the time that a connection stays open (RFC 2068 section 19.7.1.1).
const KEEP_ALIVE: &str = "keep-alive";

/// Completes an answer. `is_kept` says whether its client keeps the connection.
///
/// The last answer has `Connection: close`. The others say how long the connection stays open
/// without a request, so that clients do not send one just when the hub closes the connection.
pub(super) fn complete(
    mut response: Response,
    is_kept: bool,
    activity: &Arc<Activity>,
) -> Response {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response; // no more requests follow
    }
    let headers = response.headers_mut();
    if activity.is_last_answer() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if is_kept {
        let text = format!("timeout={}", activity.idle_max().as_secs());
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(KEEP_ALIVE, value);
        }
    }
    response.map(|body| Body::new(WatchedBody { body, activity: activity.clone() }))
}

/// The body of an answer. The answer is complete once it has been dropped.
struct WatchedBody {
    body: Body,
    activity: Arc<Activity>,
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.activity.answered(clock::monotonic());
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
