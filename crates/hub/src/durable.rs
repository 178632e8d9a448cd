//! The log on disk, with which numbers, history and what publishers have sent outlive the process.
//!
//! A folder holds:
//!
//! - `NNNNNNNNNN.seg`, **segments**: a header (epoch, position of the first tick, receive time of the
//!   last one before it, names of feeds), then a record for each turn of the router: position, receive
//!   time, how far publishers have come in it, and the ticks, with their topics and feeds, in the
//!   MessagePack arrays that subscribers are sent; the last of them, as many as it says, are bars that
//!   the hub made of the others. A record is one `write()`, made before any shard or
//!   publisher hears of the turn.
//! - `NNNNNNNNNN.ckpt`, **checkpoints**: the [`State`] at the beginning of the segment of that number:
//!   every topic with its last tick, every publisher, bars in the making. The [`Keeper`] makes them by
//!   reading the segments that the router has left, on a thread of its own.
//! - `epoch`: the epoch, the start of the machine it was last used in, and whether the hub ended in
//!   order. It is not there if the log may not be continued.
//! - `lock`: held by the hub that uses the folder, with the number of its process.
//!
//! Segments and checkpoints begin with eight bytes that say what they are and in which version, and
//! consist of frames: lengths, CRC-32s, content. Numbers are little-endian.
//!
//! A hub that starts reads the newest checkpoint and applies the records behind it ([`recover`]). A
//! last record that is not whole is cut off: nobody was told of it. **The epoch goes on only if nothing
//! that was issued can be missing**: the hub ended in order and all of it is there, or the machine has
//! not been started since, so that everything a killed hub had written is there. Otherwise a new epoch
//! begins, numbers start again, and publishers go on from where the log has them. What cannot be read,
//! or is of another version, or has no checkpoint left, is no reason to begin anew but an error: what
//! is there stays there.
//!
//! What reads and writes records is pure: files are behind [`Storage`].

mod archive;
mod bytes;
mod disk;
mod epoch;
mod frame;
mod keeper;
mod log;
mod record;
mod recovery;
mod segment;
mod state;
mod status;
mod storage;
mod sync;
mod writer;

#[cfg(test)]
mod tests;

pub use archive::{Archive, Gone};
pub use bytes::Damage;
pub(crate) use disk::Disk;
pub use disk::FolderError;
pub use keeper::{KeepError, Keeper, Kept, Segments};
pub use record::{Record, Turn};
pub use recovery::{RecoverError, Recovered, Wanted, recover};
pub use state::{CheckpointedState, State};
pub use storage::Storage;
pub use writer::{Rolling, Segment, Writer};

pub use log::OpenError;
pub(crate) use log::{DurableLog, Opened};
pub(crate) use status::Status;
