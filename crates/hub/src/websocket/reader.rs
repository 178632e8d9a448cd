//! Reads the messages of one client.

use std::time::{Duration, Instant};

use super::frame_reader::FrameReader;
use super::message_assembler::MessageAssembler;
use super::message_budget::BudgetAccount;
use super::{Message, MessageError};

/// Longest delay, after the deadline of a message, of a check that was made on time.
const CHECK_DELAY_MAX: Duration = Duration::from_secs(2);
/// Time that a client is given after a check that was not made on time.
const GRACE: Duration = Duration::from_secs(1);
/// Additional time of a message while not all bytes that have arrived are read.
const UNREAD_TIME: Duration = Duration::from_secs(1);

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct ReaderConfig {
    /// Largest message, in bytes.
    pub message_bytes_max: usize,
    /// Whether permessage-deflate was negotiated. Compressed messages are then passed on as they
    /// are.
    pub compression: bool,
}

/// Reads the messages of one client from the bytes that arrive.
///
/// The bytes may be split anywhere. Between two messages the reader holds no memory but itself.
#[derive(Debug)]
pub struct Reader {
    config: ReaderConfig,
    account: BudgetAccount,
    /// `None` while no message has begun and no byte is kept.
    state: Option<Box<State>>,
}

#[derive(Debug)]
struct State {
    frames: FrameReader,
    assembler: MessageAssembler,
    /// When the message or frame that has not ended began.
    began: Option<Instant>,
    /// Bytes that follow the last message returned.
    kept: Vec<u8>,
    /// Number of bytes of `kept` that are already read.
    kept_read: usize,
}

impl Reader {
    /// Creates a reader whose input begins with `read_already`.
    #[must_use]
    pub fn new(config: ReaderConfig, account: BudgetAccount, read_already: Vec<u8>) -> Self {
        let mut reader = Self { config, account, state: None };
        if !read_already.is_empty() {
            let state = State { kept: read_already, ..State::new(config.compression) };
            reader.state = Some(Box::new(state));
        }
        reader
    }

    /// Sets the largest size, in bytes, of messages whose frames have not begun yet.
    pub const fn set_message_bytes_max(&mut self, bytes: usize) {
        self.config.message_bytes_max = bytes;
    }

    /// Returns the next message among the bytes that were passed to [`take`](Self::take) earlier;
    /// `None` if more bytes are needed.
    ///
    /// # Errors
    /// Names the rule that the client broke. The reader cannot be used afterwards.
    pub fn next(&mut self, now: Instant) -> Result<Option<Message>, MessageError> {
        let Some(state) = self.state.as_mut().filter(|state| !state.kept.is_empty()) else {
            return Ok(None);
        };
        let kept = std::mem::take(&mut state.kept);
        let mut input = &kept[state.kept_read..];
        let message = state.read(&mut input, self.config, &self.account, now)?;
        if input.is_empty() {
            state.kept_read = 0;
        } else {
            state.kept_read = kept.len() - input.len();
            state.kept = kept;
        }
        self.drop_idle_state();
        Ok(message)
    }

    /// Takes bytes that have arrived, and returns the first message that ends in them. Keeps the
    /// bytes after that message. The caller first takes all messages from [`next`](Self::next).
    ///
    /// # Errors
    /// Like [`next`](Self::next).
    pub fn take(&mut self, bytes: &[u8], now: Instant) -> Result<Option<Message>, MessageError> {
        let compression = self.config.compression;
        let state = self.state.get_or_insert_with(|| Box::new(State::new(compression)));
        debug_assert!(state.kept.is_empty(), "kept bytes come first");
        let mut input = bytes;
        let message = state.read(&mut input, self.config, &self.account, now)?;
        state.kept.extend_from_slice(input);
        self.drop_idle_state();
        Ok(message)
    }

    /// Returns how many bytes are missing at least until the current frame ends; 0 if unknown.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.frames.remaining())
    }

    /// Returns when the message or frame began that has not ended; `None` if there is none. Frames
    /// within a message, such as pings, do not change the time.
    #[must_use]
    pub fn incomplete_since(&self) -> Option<Instant> {
        self.state.as_ref().and_then(|state| state.began)
    }

    /// Returns whether the message that has not ended has taken longer than `timeout`. The caller
    /// checks once all bytes that have arrived are read, within a second of the deadline.
    ///
    /// A check that comes late gives the client another second. The caller was suspended or did not
    /// read, so the end of the message may still be on its way.
    pub fn is_overdue(&mut self, now: Instant, timeout: Duration) -> bool {
        let Some(began) = self.state.as_mut().and_then(|state| state.began.as_mut()) else {
            return false;
        };
        let Some(delay) = now.checked_duration_since(*began + timeout) else { return false };
        if delay > CHECK_DELAY_MAX {
            *began += delay + GRACE;
        }
        delay <= CHECK_DELAY_MAX
    }

    /// Like [`is_overdue`](Self::is_overdue), but for a caller that may not have read all bytes
    /// which have arrived. The end of the message may be among them, so the client has another
    /// second. A client that never stops sending, such as pings between two fragments, is judged
    /// here.
    pub fn is_overdue_unread(&mut self, now: Instant, timeout: Duration) -> bool {
        self.is_overdue(now, timeout + UNREAD_TIME)
    }

    /// Does not count `time`, in which the process was suspended until `now`, against the message
    /// that has not ended.
    pub(crate) fn forgive(&mut self, time: Duration, now: Instant) {
        if let Some(began) = self.state.as_mut().and_then(|state| state.began.as_mut()) {
            *began = (*began + time).min(now);
        }
    }

    /// Returns whether the reader holds no bytes and no message has begun.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.state.is_none()
    }

    /// Returns whether the budget has evicted the message that has not ended.
    pub(crate) fn is_evicted(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.assembler.is_evicted())
    }

    /// Drops all bytes of a client whose input is no longer read.
    pub(crate) fn clear(&mut self) {
        self.state = None;
    }

    fn drop_idle_state(&mut self) {
        if self.state.as_ref().is_some_and(|state| state.is_idle()) {
            self.state = None;
        }
    }
}

impl State {
    const fn new(compression: bool) -> Self {
        Self {
            frames: FrameReader::new(compression),
            assembler: MessageAssembler::new(),
            began: None,
            kept: Vec::new(),
            kept_read: 0,
        }
    }

    const fn is_idle(&self) -> bool {
        self.began.is_none() && self.kept.is_empty()
    }

    /// Reads the first message that ends in `input`, and keeps the time when it began.
    fn read(
        &mut self,
        input: &mut &[u8],
        config: ReaderConfig,
        account: &BudgetAccount,
        now: Instant,
    ) -> Result<Option<Message>, MessageError> {
        let message = self.read_frames(input, config.message_bytes_max, account)?;
        if self.frames.is_between_frames() && self.assembler.is_idle() {
            self.began = None;
        } else {
            self.began.get_or_insert(now);
        }
        Ok(message)
    }

    fn read_frames(
        &mut self,
        input: &mut &[u8],
        message_bytes_max: usize,
        account: &BudgetAccount,
    ) -> Result<Option<Message>, MessageError> {
        loop {
            if !self.assembler.is_within_frame() {
                let Some(header) = self.frames.read_header(input)? else { return Ok(None) };
                self.assembler.begin_frame(header, message_bytes_max)?;
            }
            let part = self.frames.read_payload(input);
            let is_last = part.is_last;
            if let Some(message) = self.assembler.take(part, account)? {
                return Ok(Some(message));
            }
            if !is_last {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
