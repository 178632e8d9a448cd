//! The server's side of WebSocket (RFC 6455): reads the frames of clients and assembles their
//! messages.
//!
//! A [`Reader`] is pure: bytes and the time go in, messages come out. It allocates only for bytes
//! that have arrived, whatever length a frame announces, and an idle connection keeps no buffer.
//! The shards feed it from their sockets; [`WebSocket`] feeds it from an asynchronous stream.
//!
//! All readers of a hub share a [`MessageBudget`], which bounds the memory of their messages.

mod close_frame;
mod error;
mod frame_reader;
mod frame_writer;
mod message;
mod message_assembler;
mod message_budget;
mod message_buffer;
mod reader;
mod stream;
mod utf8;

pub use close_frame::CloseFrame;
pub use error::MessageError;
pub use frame_reader::Opcode;
pub use frame_writer::{write_close, write_frame};
pub use message::{Message, Payload};
pub use message_budget::{BudgetAccount, MessageBudget, OnEviction};
pub(crate) use message_buffer::MessageBuffer;
pub use reader::{Reader, ReaderConfig};
pub(crate) use stream::{StreamError, WebSocket};
