//! The log on disk: sequence numbers, history and the progress of publishers survive a restart.
//!
//! The entry points are [`recover`], which reads a log, [`Writer`], which appends to it, and
//! [`Compactor`], which makes checkpoints and deletes old files. All three work on a [`Storage`],
//! which tests replace by a folder in memory.
//!
//! # Files
//!
//! - `NNNNNNNNNN.seg`, **segments**: a header (epoch, position of the first tick, receive time of
//!   the last tick before it, names of feeds), then one record for each turn of the router. A
//!   record holds position, receive time, progress of publishers, and the ticks with their topics
//!   and feeds, encoded as the MessagePack arrays that subscribers receive. Its last ticks may be
//!   bars that the hub made from the others; the record has their count. A record is one `write()`,
//!   made before any shard or publisher learns of the turn.
//! - `NNNNNNNNNN.ckpt`, **checkpoints**: the [`State`] at the start of the segment with that
//!   number: every topic with its last tick, every publisher, and open bars. The [`Compactor`]
//!   makes them on its own thread, from segments that the router has finished.
//! - `epoch`: the epoch, the boot id of the machine, and whether the hub shut down cleanly. The
//!   file is absent if the log must not be continued.
//! - `lock`: locked by the hub that uses the folder; holds its process id.
//!
//! Segments and checkpoints start with eight bytes for kind and version, followed by frames:
//! lengths, CRC-32s, content. Integers are little-endian.
//!
//! # Recovery
//!
//! A start reads the newest checkpoint and applies the records after it. An incomplete last record
//! is cut off: no peer has learned of it. **The epoch continues only if nothing that was sent can
//! be missing**: either the hub shut down cleanly and all records are present, or the machine has
//! not rebooted since, so that everything a killed hub wrote is present. Otherwise a new epoch
//! starts with new numbers, and publishers resume from their recorded progress. A log that cannot
//! be read, has another version, or has no readable checkpoint is an error, and its files are left
//! untouched.

mod archive;
mod bytes;
mod checkpointed_bars;
mod compactor;
mod disk;
mod epoch;
mod frame;
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

pub use archive::{Archive, Evicted};
pub use bytes::Damage;
pub use compactor::{CompactError, Compactor, CompactorStart, Retention};
pub(crate) use disk::Disk;
pub use disk::FolderError;
pub use record::{Record, Turn};
pub use recovery::{RecoverError, RecoverOptions, Recovered, recover};
pub use segment::{Segment, Segments};
pub use state::{CheckpointedState, State};
pub use storage::Storage;
pub use writer::{RollPolicy, Writer, forget_epoch};

pub use log::OpenError;
pub(crate) use log::{DurableLog, Opened};
pub(crate) use status::LogStatus;
