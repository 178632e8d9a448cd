//! The history reader: a thread that reads old ticks from disk for all shards, so that no shard
//! waits for a disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crate::clock;
use crate::durable::{Archive, Storage};
use crate::fanout::{DISK_READS_MAX, DiskIndex, DiskReadRequest};
use crate::serving::shard_handle::{DiskReadReply, ShardHandle};

/// Bytes of ticks read for one request, as charged in memory.
const REPLY_BYTES: usize = 1 << 20;
/// Time between two updates of the disk index.
const INTERVAL: Duration = Duration::from_secs(1);

/// How shards reach the history reader.
#[derive(Debug)]
pub(crate) struct HistoryReaderHandle {
    requests: SyncSender<Request>,
    /// Which ticks are on disk.
    disk_index: Mutex<DiskIndex>,
    /// Version of `disk_index`; grows with every update.
    version: AtomicU64,
}

/// A message to the history reader.
#[derive(Debug)]
pub(crate) enum Request {
    /// A shard asks for old ticks.
    Read { shard: Arc<ShardHandle>, request: DiskReadRequest },
    /// The thread has to end.
    End,
}

impl HistoryReaderHandle {
    /// Creates the handle for a number of shards, and the queue that the thread reads.
    pub(crate) fn new(shards: usize, disk_index: DiskIndex) -> (Self, Receiver<Request>) {
        let (requests, queue) = sync_channel(shards * DISK_READS_MAX + 1);
        (Self { requests, disk_index: Mutex::new(disk_index), version: AtomicU64::new(1) }, queue)
    }

    /// Asks for ticks on behalf of a shard. Returns whether there will be a reply: the queue has
    /// room for as many requests as all shards may have open, so this fails only if the thread has
    /// ended.
    pub(crate) fn ask(&self, shard: Arc<ShardHandle>, request: DiskReadRequest) -> bool {
        self.requests.try_send(Request::Read { shard, request }).is_ok()
    }

    /// Returns which ticks are on disk, if that has changed since the version `known`, and updates
    /// `known`.
    pub(crate) fn disk_index_since(&self, known: &mut u64) -> Option<DiskIndex> {
        let version = self.version.load(Ordering::Acquire);
        (std::mem::replace(known, version) != version)
            .then(|| self.disk_index.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set_disk_index(&self, disk_index: DiskIndex) {
        *self.disk_index.lock().unwrap_or_else(PoisonError::into_inner) = disk_index;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Ends the thread once it has answered the open requests.
    pub(crate) fn end(&self) {
        let _ended = self.requests.send(Request::End); // fails if the thread has ended
    }
}

/// Starts the thread. It ends after [`HistoryReaderHandle::end`].
///
/// # Errors
/// Fails if the thread cannot be started.
pub(crate) fn spawn<S>(
    archive: Archive<S>,
    queue: Receiver<Request>,
    handle: Arc<HistoryReaderHandle>,
) -> io::Result<thread::JoinHandle<()>>
where
    S: Storage + Send + 'static,
{
    thread::Builder::new()
        .name("log-reader".to_owned())
        .spawn(move || serve(archive, &queue, &handle))
}

fn serve<S: Storage>(
    mut archive: Archive<S>,
    queue: &Receiver<Request>,
    handle: &HistoryReaderHandle,
) {
    let mut updated = clock::monotonic();
    loop {
        let first = match queue.recv_timeout(INTERVAL) {
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut requests = Vec::new();
        let mut ends = false;
        for request in first.into_iter().chain(queue.try_iter()) {
            match request {
                Request::Read { shard, request } => requests.push((shard, request)),
                Request::End => ends = true,
            }
        }
        answer(&mut archive, requests);
        if ends {
            return;
        }
        if updated.elapsed() >= INTERVAL {
            updated = clock::monotonic();
            handle.set_disk_index(archive.disk_index(clock::wall()));
        }
    }
}

/// Answers requests in the order of the log, so that each file is read once. Requests for the same
/// position share one read.
fn answer<S: Storage>(
    archive: &mut Archive<S>,
    mut requests: Vec<(Arc<ShardHandle>, DiskReadRequest)>,
) {
    requests.sort_by_key(|(_, request)| request.from);
    for same in requests.chunk_by(|(_, one), (_, other)| one.from == other.from) {
        let found = archive.read(same[0].1.from, REPLY_BYTES).ok();
        for (shard, request) in same {
            let reply = DiskReadReply { request: *request, found: found.clone() };
            // The queue has room for all requests that the shard may have open. The shard may have
            // ended.
            let _ended = shard.disk_reads.try_send(reply);
            shard.waker.wake();
        }
    }
}
