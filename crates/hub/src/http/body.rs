//! Reads the bodies of requests.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Notify;

use crate::websocket::{BudgetAccount, MessageBuffer, MessageError, Payload};

/// Limits of a body.
#[derive(Debug)]
pub(super) struct BodyLimits {
    pub(super) bytes_max: usize,
    /// How long the body may take.
    pub(super) timeout: Duration,
    /// The account of the client in the budget of messages. Its owner is `evicted`.
    pub(super) account: BudgetAccount,
    pub(super) evicted: Arc<Notify>,
}

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The body is larger than the limit.
    TooBig,
    /// The body did not end in time.
    Overdue,
    /// The budget of messages is used up, and the client has the largest share in it.
    Evicted,
    /// The client disconnected or sent a malformed body.
    Broken,
}

/// Reads a whole body.
///
/// # Errors
/// If the body exceeds a limit or does not arrive.
pub(super) async fn read_body(body: Body, limits: BodyLimits) -> Result<Payload, BodyError> {
    let BodyLimits { bytes_max, timeout, account, evicted } = limits;
    let read = async {
        let mut pieces = body.into_data_stream();
        let mut buffer = MessageBuffer::default();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| BodyError::Broken)?;
            append(&mut buffer, &piece, bytes_max, &account)?;
        }
        Ok(buffer.finish())
    };
    tokio::select! {
        read = tokio::time::timeout(timeout, read) => read.unwrap_or(Err(BodyError::Overdue)),
        () = evicted.notified() => Err(BodyError::Evicted),
    }
}

/// Appends a piece of a body. The bytes are copied: a piece refers to the read buffer of its
/// connection, and a client could keep many such buffers alive with a byte each.
fn append(
    buffer: &mut MessageBuffer,
    piece: &Bytes,
    bytes_max: usize,
    account: &BudgetAccount,
) -> Result<(), BodyError> {
    if piece.len() > bytes_max - buffer.len() {
        return Err(BodyError::TooBig);
    }
    let unchanged = |_: &mut [u8]| Ok::<_, MessageError>(());
    buffer.append(piece, account, unchanged).map_err(|_| BodyError::Evicted)
}
