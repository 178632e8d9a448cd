//! The thread that reads old ticks from disk for the shards, so that none of them ever waits for a disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crate::clock;
use crate::durable::{Archive, Storage};
use crate::fanout::{DISK_READS_MAX, DiskIndex, DiskReadRequest};
use crate::serving::shard_handle::{DiskReadReply, ShardHandle};

/// Ticks read for one answer, as they are charged in memory, in bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// How often is looked at what is there.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where shards ask for old ticks.
#[derive(Debug)]
pub(crate) struct HistoryReaderHandle {
    requests: SyncSender<Request>,
    disk_index: Mutex<DiskIndex>,
    /// Of the disk_index; grows.
    version: AtomicU64,
}

#[derive(Debug)]
pub(crate) enum Request {
    Read { shard: Arc<ShardHandle>, request: DiskReadRequest },
    End,
}

impl HistoryReaderHandle {
    /// A history for so many shards, and what reaches it.
    pub(crate) fn new(shards: usize, disk_index: DiskIndex) -> (Self, Receiver<Request>) {
        let (requests, queue) = sync_channel(shards * DISK_READS_MAX + 1);
        (Self { requests, disk_index: Mutex::new(disk_index), version: AtomicU64::new(1) }, queue)
    }

    /// Asks for ticks; says whether there will be an answer. There is room for as much as shards may ask.
    pub(crate) fn ask(&self, shard: Arc<ShardHandle>, request: DiskReadRequest) -> bool {
        self.requests.try_send(Request::Read { shard, request }).is_ok()
    }

    /// What is on disk, if that has changed since a version.
    pub(crate) fn disk_index_since(&self, known: &mut u64) -> Option<DiskIndex> {
        let version = self.version.load(Ordering::Acquire);
        (std::mem::replace(known, version) != version)
            .then(|| self.disk_index.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set_disk_index(&self, disk_index: DiskIndex) {
        *self.disk_index.lock().unwrap_or_else(PoisonError::into_inner) = disk_index;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Has the thread end once it has answered.
    pub(crate) fn end(&self) {
        let _ended = self.requests.send(Request::End); // an error means that it has
    }
}

/// Starts the thread. It ends with [`HistoryReaderHandle::end`].
///
/// # Errors
/// If there can be no thread.
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
    let mut looked = clock::monotonic();
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
        if looked.elapsed() >= INTERVAL {
            looked = clock::monotonic();
            handle.set_disk_index(archive.disk_index(clock::wall()));
        }
    }
}

/// Answers in the order of the log, so that each file is read once, and the same once for all.
fn answer<S: Storage>(
    archive: &mut Archive<S>,
    mut requests: Vec<(Arc<ShardHandle>, DiskReadRequest)>,
) {
    requests.sort_by_key(|(_, request)| request.from);
    for same in requests.chunk_by(|(_, one), (_, other)| one.from == other.from) {
        let found = archive.read(same[0].1.from, ANSWER_BYTES).ok();
        for (shard, request) in same {
            let reply = DiskReadReply { request: *request, found: found.clone() };
            // There is room for as much as the shard may ask; if it has ended nobody waits.
            let _ended = shard.disk_reads.try_send(reply);
            shard.waker.wake();
        }
    }
}
